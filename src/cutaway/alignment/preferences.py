"""What people say about answers, kept in one database, and what a model can learn from it.

A judgement of K answers is a ranking, and a ranking is K(K-1)/2 pairs (Ouyang et al. 2022, section
3.5). A better answer that the rater wrote stands above those that it was written for.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from cutaway.alignment import schema
from cutaway.alignment.judgements import Answer, Comparison, Judge, Judged, Judgement, check
from cutaway.database import create_tables, database_errors, insert_new, open_database, told
from cutaway.errors import DataError, UsageError
from cutaway.text.conversations import Message

ENOUGH_TO_DOUBT = 20
"""From how many judgements on it is a fault when all of them choose the same place."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Answers to a prompt in their order, to learn from."""

    prompt: tuple[Message, ...]
    """The messages so far."""
    answers: tuple[Answer, ...]
    """At least two, the best first."""
    rater: str
    """Who said so."""


@dataclass(frozen=True, kw_only=True)
class Preference:
    """Two answers to a prompt of which one was found better."""

    prompt: tuple[Message, ...]
    """The messages so far."""
    chosen: Answer
    """The better one."""
    rejected: Answer
    """The other."""
    rater: str
    """Who said so."""


class PreferenceStore:
    """The comparisons and judgements in one database; several processes may use it at once."""

    def __init__(self, url: str) -> None:
        """Opens the database, and makes its tables where they are not there yet.

        Raises:
            CutawayError: as `database.open_database` does.
        """
        self.url = url
        self._engine = open_database(url)
        create_tables(self._engine, schema.METADATA, url=url)

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    def add(self, comparisons: Iterable[Comparison]) -> int:
        """Stores what is to be judged, and counts what was not there yet."""
        new = [schema.storable_comparison(each) for each in comparisons]
        with database_errors(self.url), self._engine.begin() as connection:
            insert_new(connection, schema.PROMPTS, schema.prompt_rows(new))
            insert_new(connection, schema.ANSWERS, schema.answer_rows(new))
            added = insert_new(connection, schema.COMPARISONS, schema.comparison_rows(new))
            insert_new(connection, schema.COMPARED, schema.compared_rows(new))
        return added

    def comparisons(self) -> list[Comparison]:
        """All that is to be judged, in the order in which it was stored.

        Raises:
            DataError: a comparison is of an answer that is gone.
        """
        with database_errors(self.url), self._engine.connect() as connection:
            return list(schema.read_comparisons(connection, place=told(self.url)).values())

    def comparison(self, key: str) -> Comparison:
        """The comparison of a name.

        Raises:
            DataError: there is none, or one of its answers is gone.
        """
        with database_errors(self.url), self._engine.connect() as connection:
            found = schema.read_comparisons(connection, place=told(self.url), key=key)
        if key not in found:
            raise DataError(f"there is no comparison {key[:40]!r}; it is gone, or was never stored")
        return found[key]

    def record(self, judgement: Judgement) -> Judgement:
        """Stores a judgement and returns it with its number; the same one twice counts once.

        Raises:
            DataError: it is of a comparison or an answer that is gone.
            UsageError: it does not fit the comparison, or this rater judged it otherwise before.
        """
        check(judgement, self.comparison(judgement.comparison))
        row = schema.judgement_row(judgement)
        with database_errors(self.url):
            try:
                with self._engine.begin() as connection:
                    inserted = connection.execute(schema.JUDGEMENTS.insert().values(row))
                    (number,) = inserted.inserted_primary_key or (None,)
                return replace(judgement, number=number)
            except IntegrityError:
                pass
        standing = next(
            (
                each
                for each in self.judgements(rater=judgement.rater)
                if each.comparison == judgement.comparison and each.showing == judgement.showing
            ),
            None,
        )
        if standing is not None and schema.says_the_same(standing, judgement):
            return standing
        raise UsageError(
            f"{judgement.rater} has judged this comparison already, and otherwise;\n"
            "take that judgement back first (undo)"
        )

    def record_all(self, judgements: Iterable[Judgement]) -> int:
        """Stores many judgements at once, and counts what was not there yet."""
        known = {each.key: each for each in self.comparisons()}
        new = list(judgements)
        for judgement in new:
            if judgement.comparison not in known:
                raise DataError(f"there is no comparison {judgement.comparison[:40]!r}")
            check(judgement, known[judgement.comparison])
        with database_errors(self.url), self._engine.begin() as connection:
            return insert_new(connection, schema.JUDGEMENTS, list(map(schema.judgement_row, new)))

    def undo(self, rater: str) -> Judgement | None:
        """Takes a rater's latest standing judgement back, and returns it; the row stays."""
        table = schema.JUDGEMENTS
        latest = (
            select(func.max(table.c.number))
            .where(table.c.rater == rater, table.c.undone.is_(None))
            .scalar_subquery()
        )
        change = (
            table.update()
            .where(table.c.number == latest, table.c.undone.is_(None))
            .values(undone=schema.milliseconds_of(datetime.now(UTC)))
            .returning(table)
        )
        with database_errors(self.url), self._engine.begin() as connection:
            row = connection.execute(change).mappings().one_or_none()
        return None if row is None else schema.judgement_of(row)

    def judgements(
        self,
        *,
        rater: str | None = None,
        judges: Collection[Judge] | None = None,
        with_undone: bool = False,
    ) -> list[Judgement]:
        """The judgements in the order in which they were made; those that stand, or all."""
        table = schema.JUDGEMENTS
        wanted = select(table).order_by(table.c.number)
        if rater is not None:
            wanted = wanted.where(table.c.rater == rater)
        if judges is not None:
            wanted = wanted.where(table.c.judge.in_(judges))
        if not with_undone:
            wanted = wanted.where(table.c.undone.is_(None))
        with database_errors(self.url), self._engine.connect() as connection:
            return [schema.judgement_of(row) for row in connection.execute(wanted).mappings()]

    def judged(self, *, judges: Collection[Judge] | None = None) -> list[Judged]:
        """The standing judgements, each with what it is about.

        Raises:
            DataError: a judgement is of a comparison or an answer that is gone.
        """
        known = {each.key: each for each in self.comparisons()}
        found = []
        for judgement in self.judgements(judges=judges):
            comparison = known.get(judgement.comparison)
            if comparison is None or not set(judgement.order) <= set(comparison.answer_keys):
                raise DataError(
                    f"{told(self.url)}: judgement {judgement.number} by {judgement.rater} is of "
                    "an answer that is gone\n"
                    "put the answer back from a copy of the database, or delete the judgement"
                )
            found.append(Judged(judgement=judgement, comparison=comparison))
        return found


def rankings(judged: Iterable[Judged]) -> list[Ranking]:
    """What is learned from judgements: those that say that one answer is better than another.

    Repetitions are left out: they measure the rater, and their answers were counted already.

    Raises:
        DataError: there are no judgements, or none of them prefers anything, or all prefer the
            same place on the screen.
    """
    counted = [each for each in judged if each.judgement.showing == 0]
    _require_two_sides([each.judgement for each in counted])
    return [ranking for each in counted for ranking in _rankings(each)]


def pairs(judged: Iterable[Judged]) -> list[Preference]:
    """The rankings taken apart into pairs, in order.

    Raises:
        DataError: as `rankings` does.
    """
    return [
        Preference(prompt=ranking.prompt, chosen=better, rejected=worse, rater=ranking.rater)
        for ranking in rankings(judged)
        for better, worse in combinations(ranking.answers, 2)
    ]


def _rankings(judged: Judged) -> Iterator[Ranking]:
    judgement, comparison = judged.judgement, judged.comparison

    def ranking(answers: Sequence[Answer]) -> Ranking:
        return Ranking(prompt=comparison.prompt, answers=tuple(answers), rater=judgement.rater)

    ordered = [comparison.answer(key) for key in judgement.order]
    written = [Answer(text=judgement.better, model=judgement.rater)] if judgement.better else []
    if ordered:
        yield ranking([*written, *ordered])
    elif written and judgement.verdict != "skip":
        # Which of the others is better, nobody said.
        yield from (ranking([*written, other]) for other in comparison.answers)


def _require_two_sides(judgements: Sequence[Judgement]) -> None:
    if not judgements:
        raise DataError(
            "there are no judgements to learn from\n"
            "make some: cutaway label MODEL, or with judge=simulated where nobody has the time"
        )
    counts = Counter(judgement.verdict for judgement in judgements)
    if not any(judgement.order or judgement.better for judgement in judgements):
        told = ", ".join(f"{count} x {verdict}" for verdict, count in counts.most_common())
        raise DataError(
            f"the judgements are one-sided: {told}, and none says that an answer is better\n"
            "judge more answers, or let them differ more: a higher temperature, another checkpoint"
        )
    # Answers stand in random order, so whoever always takes the same place does not read them.
    by_rater: dict[str, set[int]] = {}
    for judgement in judgements:
        if judgement.judge == "person" and judgement.order:
            place = judgement.shown.index(judgement.order[0])
            by_rater.setdefault(judgement.rater, set()).add(place)
    for rater, places in by_rater.items():
        count = sum(each.rater == rater and bool(each.order) for each in judgements)
        if len(places) == 1 and count >= ENOUGH_TO_DOUBT:
            raise DataError(
                f"the judgements are one-sided: all {count} of {rater} prefer the answer that was "
                f"shown in place {places.pop() + 1}\n"
                "the order is random, so nothing was compared: leave this rater out, or judge anew"
            )
