"""The page on which people judge answers: what it is given, what it sends, and who may ask.

Raters are not told which model wrote what: an answer leaves this file as a key and a text. All
state is in the store, so that a window, a server or a machine may go away at any moment.
"""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from cutaway.alignment.agreement import agreement
from cutaway.alignment.assignment import next_assignment, progress
from cutaway.alignment.judgements import LONGEST_RATER, MOST_REASONS, Judged, Judgement
from cutaway.alignment.preferences import PreferenceStore
from cutaway.errors import CutawayError, DataError, UsageError
from cutaway.server.protocol import Refused, Strict

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_RATER)]
Key = Annotated[str, Field(min_length=1, max_length=64)]


@dataclass(kw_only=True)
class Study:
    """What is judged: the store, and whether answers are still being written."""

    store: PreferenceStore
    minimum_s: float = 2.0
    """Seconds that must pass before a judgement."""
    is_writing: bool = False
    """Whether a model still writes answers."""
    failure: str = ""
    """Why it stopped writing; empty: it did not."""


class Given(Strict):
    """A judgement as the page sends it."""

    rater: Name
    comparison: Key
    showing: Literal[0, 1]
    verdict: Literal["a", "b", "tie", "both_bad", "skip", "ranking"]
    shown: list[Key] = Field(min_length=2, max_length=4)
    ranking: list[Key] = Field(default_factory=list, max_length=4)
    reasons: list[Annotated[str, Field(max_length=40)]] = Field(
        default_factory=list, max_length=MOST_REASONS
    )
    better: str = Field(default="", max_length=20_000)
    milliseconds: int = Field(ge=0, le=86_400_000)


class Rater(Strict):
    """Who takes a judgement back."""

    rater: Name


def labelling_router(study: Study) -> APIRouter:
    """The routes below `/api/label`, which the page `/label` asks."""
    router = APIRouter(prefix="/api/label")

    @router.get("/next")
    def following(rater: Annotated[str, Query(min_length=1, max_length=LONGEST_RATER)]) -> Any:
        return state_of(study, rater=rater)

    @router.post("/judgements")
    def judge(given: Given) -> Any:
        if given.verdict != "skip" and given.milliseconds < study.minimum_s * 1000:
            raise Refused(
                f"judged after {given.milliseconds / 1000:.1f} s; read the answers: a judgement "
                f"takes at least {study.minimum_s:g} s",
                status=409,
            )
        judgement = Judgement(
            comparison=given.comparison,
            rater=given.rater,
            judge="person",
            verdict=given.verdict,
            shown=tuple(given.shown),
            ranking=tuple(given.ranking),
            reasons=tuple(given.reasons),
            better=given.better,
            showing=given.showing,
            milliseconds=given.milliseconds,
        )
        try:
            study.store.record(judgement)
        except (DataError, UsageError) as error:
            raise _refused(error) from None
        return state_of(study, rater=given.rater)

    @router.post("/undo")
    def undo(given: Rater) -> Any:
        undone = study.store.undo(given.rater)
        told = undone and {
            "verdict": undone.verdict,
            "reasons": undone.reasons,
            "better": undone.better,
        }
        return {**state_of(study, rater=given.rater), "undone": told}

    return router


def state_of(study: Study, *, rater: str) -> dict[str, Any]:
    """What the page of one rater shows now."""
    comparisons = study.store.comparisons()
    judgements = study.store.judgements(judges=["person"])
    assignment = next_assignment(comparisons, judgements, rater=rater)
    known = {each.key: each for each in comparisons}
    own = [
        Judged(judgement=each, comparison=known[each.comparison])
        for each in judgements
        if each.rater == rater and each.comparison in known
    ]
    found = agreement(own)
    state = progress(comparisons, judgements, rater=rater)
    return {
        "progress": {**asdict(state), "left_s": state.left_s},
        "minimum_s": study.minimum_s,
        "is_writing": study.is_writing,
        "failure": study.failure,
        "meters": {
            name: None if share is None else asdict(share)
            for name, share in (
                ("first_place", found.first_place),
                ("longer", found.longer),
                ("with_oneself", found.with_oneself),
            )
        },
        "item": assignment
        and {
            "comparison": assignment.comparison.key,
            "showing": assignment.showing,
            "prompt": [
                {"role": each.role, "content": each.content}
                for each in assignment.comparison.prompt
            ],
            "answers": [
                {"key": key, "text": assignment.comparison.answer(key).text}
                for key in assignment.shown
            ],
        },
    }


def _refused(error: CutawayError) -> Refused:
    """What cannot be a judgement, in the form of all errors."""
    status = 404 if isinstance(error, DataError) else 409
    return Refused(str(error).replace("\n", " "), status=status)
