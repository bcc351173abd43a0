"""The page on which people judge answers: what it is given, what it sends, and who may ask.

Raters are not told which model wrote what: an answer leaves this file as a key and a text. All
state is in the store, so that a window, a server or a machine may go away at any moment.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from cutaway.alignment.agreement import agreement
from cutaway.alignment.assignment import next_assignment, progress
from cutaway.alignment.judgements import LONGEST_RATER, MOST_REASONS, Judged, Judgement
from cutaway.alignment.preferences import PreferenceStore
from cutaway.errors import CutawayError, DataError, ResourceError, UsageError

WEB = Path(__file__).parent / "web"
FILES = {"label.js": "text/javascript", "label.css": "text/css"}
POLICY = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; object-src 'none'"
)
HOSTS = ("127.0.0.1", "localhost", "[::1]")

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


class Given(BaseModel):
    """A judgement as the page sends it."""

    model_config = ConfigDict(extra="forbid", strict=True)

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


class Rater(BaseModel):
    """Who takes a judgement back."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rater: Name


def labelling_router(study: Study) -> APIRouter:
    """The routes `/label` and `/api/label/...`."""
    router = APIRouter()

    @router.get("/label", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(WEB / "label.html", media_type="text/html")

    @router.get("/api/label/next")
    def following(rater: Annotated[str, Query(min_length=1, max_length=LONGEST_RATER)]) -> Any:
        return state_of(study, rater=rater)

    @router.post("/api/label/judgements")
    def judge(given: Given) -> Any:
        if given.verdict != "skip" and given.milliseconds < study.minimum_s * 1000:
            raise UsageError(
                f"judged after {given.milliseconds / 1000:.1f} s; read both answers: a judgement "
                f"takes at least {study.minimum_s:g} s"
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
        study.store.record(judgement)
        return state_of(study, rater=given.rater)

    @router.post("/api/label/undo")
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


def labelling_app(study: Study) -> FastAPI:
    """An app with this page alone, for this machine alone."""
    app = FastAPI(title="Cutaway: judging", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS))
    app.middleware("http")(_guard)
    app.exception_handler(CutawayError)(_told)
    app.include_router(labelling_router(study))

    @app.get("/web/{name}")
    def file(name: str) -> FileResponse:
        if name not in FILES:
            raise DataError("there is no such file")
        return FileResponse(WEB / name, media_type=FILES[name])

    return app


def serve(app: FastAPI, *, port: int) -> None:
    """Serves on this machine until Ctrl-C.

    Raises:
        ResourceError: the port is taken.
    """
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="error", http="h11", ws="none"
    )
    try:
        listening = config.bind_socket()
    except SystemExit as error:
        raise ResourceError(f"port {port} is taken; give another: port={port + 1}") from error
    uvicorn.Server(config).run(sockets=[listening])


async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """No other site's page may send anything here, and ours loads nothing from elsewhere."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if request.method != "GET" and site not in ("same-origin", "none"):
        return JSONResponse({"error": {"message": "another site asked"}}, status_code=403)
    response = await call_next(request)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def _told(_: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, DataError) else 503
    if isinstance(error, UsageError):
        status = 409
    return JSONResponse({"error": {"message": str(error)}}, status_code=status)
