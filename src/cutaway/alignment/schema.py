"""The tables of comparisons and judgements, and how their rows become what they stand for.

A prompt, an answer and a comparison are named by their content: what is stored twice is there once.
A judgement that was taken back stays as a row with the time at which it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    select,
    text,
)

from cutaway.alignment.judgements import Answer, Comparison, Judgement
from cutaway.database import storable
from cutaway.errors import DataError
from cutaway.text.conversations import Message

METADATA = MetaData()

PROMPTS = Table(
    "prompts",
    METADATA,
    Column("key", String(32), primary_key=True),
    Column("messages", JSON, nullable=False),
)
ANSWERS = Table(
    "answers",
    METADATA,
    Column("key", String(32), primary_key=True),
    Column("prompt", ForeignKey("prompts.key"), nullable=False),
    Column("text", Text, nullable=False),
    Column("ids", JSON, nullable=False),
    Column("seed", BigInteger),
    Column("sampler", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_hash", String(64), nullable=False),
)
COMPARISONS = Table(
    "comparisons",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False, unique=True),
    Column("prompt", ForeignKey("prompts.key"), nullable=False),
)
COMPARED = Table(
    "compared",
    METADATA,
    Column("comparison", ForeignKey("comparisons.key"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("answer", ForeignKey("answers.key"), nullable=False),
)
JUDGEMENTS = Table(
    "judgements",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("comparison", ForeignKey("comparisons.key"), nullable=False),
    Column("rater", Text, nullable=False),
    Column("judge", String(16), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("shown", JSON, nullable=False),
    Column("ranking", JSON, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("better", Text, nullable=False),
    Column("showing", Integer, nullable=False),
    Column("milliseconds", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),  # milliseconds since 1970
    Column("undone", BigInteger),
    # Two windows, or a request that was sent again, cannot make one rater count twice.
    Index(
        "judged_once",
        "comparison",
        "rater",
        "showing",
        unique=True,
        sqlite_where=text("undone IS NULL"),
        postgresql_where=text("undone IS NULL"),
    ),
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds_of(time: datetime) -> int:
    """A time as the tables hold it."""
    return (time - _EPOCH) // timedelta(milliseconds=1)


def storable_comparison(comparison: Comparison) -> Comparison:
    """The comparison with texts that every database takes."""
    prompt = tuple(replace(each, content=storable(each.content)) for each in comparison.prompt)
    answers = tuple(
        replace(each, text=storable(each.text), model=storable(each.model))
        for each in comparison.answers
    )
    return replace(comparison, prompt=prompt, answers=answers)


def prompt_rows(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """The rows of the prompts, each once."""
    rows = {
        each.prompt_key: [
            {"role": message.role, "content": message.content} for message in each.prompt
        ]
        for each in comparisons
    }
    return [{"key": key, "messages": messages} for key, messages in rows.items()]


def answer_rows(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """The rows of the answers, each once."""
    rows = {
        key: {
            "key": key,
            "prompt": each.prompt_key,
            "text": answer.text,
            "ids": list(answer.ids),
            "seed": answer.seed,
            "sampler": answer.sampler,
            "model": answer.model,
            "model_hash": answer.model_hash,
        }
        for each in comparisons
        for key, answer in zip(each.answer_keys, each.answers, strict=True)
    }
    return list(rows.values())


def comparison_rows(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """The rows of the comparisons."""
    return [{"key": each.key, "prompt": each.prompt_key} for each in comparisons]


def compared_rows(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """The rows that say which answers a comparison is of."""
    return [
        {"comparison": each.key, "place": place, "answer": key}
        for each in comparisons
        for place, key in enumerate(each.answer_keys)
    ]


def judgement_row(judgement: Judgement) -> dict[str, Any]:
    """The row of a judgement."""
    return {
        "comparison": judgement.comparison,
        "rater": storable(judgement.rater),
        "judge": judgement.judge,
        "verdict": judgement.verdict,
        "shown": list(judgement.shown),
        "ranking": list(judgement.ranking),
        "reasons": [storable(reason) for reason in judgement.reasons],
        "better": storable(judgement.better),
        "showing": judgement.showing,
        "milliseconds": judgement.milliseconds,
        "time": milliseconds_of(judgement.time),
        "undone": None if judgement.undone is None else milliseconds_of(judgement.undone),
    }


def judgement_of(row: Mapping[Any, Any]) -> Judgement:
    """The judgement in a row."""
    return Judgement(
        comparison=row["comparison"],
        rater=row["rater"],
        judge=row["judge"],
        verdict=row["verdict"],
        shown=tuple(row["shown"]),
        ranking=tuple(row["ranking"]),
        reasons=tuple(row["reasons"]),
        better=row["better"],
        showing=row["showing"],
        milliseconds=row["milliseconds"],
        time=_EPOCH + timedelta(milliseconds=row["time"]),
        number=row["number"],
        undone=None if row["undone"] is None else _EPOCH + timedelta(milliseconds=row["undone"]),
    )


def says_the_same(one: Judgement, other: Judgement) -> bool:
    """Whether two judgements of a comparison differ in nothing that the rater said."""

    def said(judgement: Judgement) -> dict[str, Any]:
        passing = ("time", "milliseconds", "undone")
        row = judgement_row(judgement)
        return {name: value for name, value in row.items() if name not in passing}

    return said(one) == said(other)


def read_comparisons(
    connection: Connection, *, place: str, key: str | None = None
) -> dict[str, Comparison]:
    """Reads all comparisons, or the one of a name, in the order in which they were stored.

    Raises:
        DataError: one is of an answer that is gone.
    """
    wanted = (
        select(
            COMPARISONS.c.key.label("comparison"),
            COMPARISONS.c.number.label("number"),
            COMPARED.c.place,
            PROMPTS.c.messages,
            ANSWERS,
        )
        .join_from(COMPARISONS, COMPARED, isouter=True)
        .join(ANSWERS, ANSWERS.c.key == COMPARED.c.answer, isouter=True)
        .join(PROMPTS, PROMPTS.c.key == COMPARISONS.c.prompt, isouter=True)
        .order_by(COMPARISONS.c.number, COMPARED.c.place)
    )
    if key is not None:
        wanted = wanted.where(COMPARISONS.c.key == key)
    rows: dict[str, list[Mapping[Any, Any]]] = {}
    for row in connection.execute(wanted).mappings():
        rows.setdefault(row["comparison"], []).append(row)
    return {name: _comparison(name, found, place=place) for name, found in rows.items()}


def _comparison(name: str, rows: Sequence[Mapping[Any, Any]], *, place: str) -> Comparison:
    is_whole = len(rows) > 1 and all(row["text"] is not None and row["messages"] for row in rows)
    if is_whole:
        comparison = Comparison(
            prompt=tuple(Message(**message) for message in rows[0]["messages"]),
            answers=tuple(
                Answer(
                    text=row["text"],
                    ids=tuple(row["ids"]),
                    seed=row["seed"],
                    sampler=row["sampler"],
                    model=row["model"],
                    model_hash=row["model_hash"],
                )
                for row in rows
            ),
        )
        if comparison.key == name:
            return comparison
    raise DataError(
        f"{place}: comparison {rows[0]['number']} is of an answer that is gone or was changed\n"
        "put it back from a copy of the database, or delete the comparison with its judgements"
    )
