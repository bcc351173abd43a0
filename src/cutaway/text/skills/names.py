"""Skills about names in other languages and ways to write dates, from the Unicode CLDR."""

import datetime
import random
import re
from collections.abc import Sequence
from functools import cache
from typing import Literal

from cutaway.text.documents import Split, split_of
from cutaway.text.locales import KINDS, Kind, LocalName, date_pattern, format_date, local_names
from cutaway.text.skills.base import Example, Score, Skill, dialogue, same_last_line

LANGUAGES = ("de", "fr", "es", "it", "nl", "zh")
_COUNTRIES = "DE FR ES IT NL CN GB US RU JP IN EG GR TR CH AT SE NO DK FI PL IE BR MX CA"
_LANGUAGES = "en de fr es it nl zh ru ja el ar la"
THINGS: dict[Kind, tuple[str, ...]] = {
    "country": tuple(_COUNTRIES.split()),
    "language": tuple(_LANGUAGES.split()),
    "weekday": tuple(str(day) for day in range(7)),
    "month": tuple(str(month) for month in range(1, 13)),
}
FIRST_YEAR, LAST_YEAR = 1900, 2099

_NAME = (
    "What is {0} in {1}?",
    "How do you say {0} in {1}?",
    "Say {0} in {1}.",
    "{0} in {1}?",
    "Translate {0} into {1}.",
    "What is the {1} word for {0}?",
    "What is the {1} name of {0}?",
    "What is {0} called in {1}?",
    "Give me the {1} name for {0}.",
    "Tell me the {1} for {0}.",
    "Please put {0} into {1}.",
    "Write {0} in {1}.",
)
_NAME_HELD_OUT = (
    "How is {0} said in {1}?",
    "Please tell me what {0} is in {1}.",
    "I would like to say {0} in {1}.",
    "What do you call {0} in {1}?",
    "Which is the {1} word for {0}?",
)
_DATE = (
    "Write {} in ISO form.",
    "What is {} in ISO form?",
    "Write {} as an ISO date.",
    "What is the ISO date of {}?",
    "Convert {} to ISO form.",
    "Give {} as an ISO date.",
    "{} as an ISO date, please.",
)
_ENGLISH_DATES = (
    "MMMM d, y",
    "EEEE, MMMM d, y",
    "MMM d, y",
    "d MMMM y",
    "d MMM y",
    "EEEE, d MMMM y",
    "y/MM/dd",
)


class Names(Skill[LocalName]):
    """Says what a country, language, weekday or month is called in another language.

    A name cannot be guessed, so validation asks for the same names in wordings that training never
    has.
    """

    name = "names"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the last line is CLDR's name."""
        return same_last_line(example, answer)

    def baseline(self, example: Example) -> str:
        """Answers the English name."""
        return example.key.rsplit("|")[1]

    def _draw(self, randomness: random.Random) -> LocalName:
        return randomness.choice(_all_facts())

    def _held_out(self) -> Sequence[LocalName]:
        return _all_facts()

    def _example(self, item: LocalName, split: Split, randomness: random.Random) -> Example:
        wording = randomness.choice(_NAME if split == "train" else _NAME_HELD_OUT)
        asked = wording.format(item.english, item.language)
        return dialogue(asked, item.local, key=f"{item.locale}|{item.english}|{wording}")


class Dates(Skill[datetime.date]):
    """Writes a date, given in one of several languages and forms, as year-month-day (ISO 8601)."""

    name = "dates"

    def score(self, example: Example, answer: str) -> Score:
        """Is right when the last line is the date."""
        return same_last_line(example, answer)

    def baseline(self, example: Example) -> str:
        """Joins the numbers of the question in the order in which they stand."""
        asked = example.conversation.messages[-2].content
        return "-".join(number.zfill(2) for number in re.findall(r"\d+", asked))

    def _draw(self, randomness: random.Random) -> datetime.date:
        return random_date("train", randomness)

    def _held_out(self) -> Sequence[datetime.date]:
        return _held_out_dates()

    def _example(self, item: datetime.date, split: Split, randomness: random.Random) -> Example:
        asked = randomness.choice(_DATE).format(written_date(item, randomness))
        return dialogue(asked, item.isoformat(), key=item.isoformat())


@cache
def facts(locale: str) -> Sequence[LocalName]:
    """Returns the names that are taught in a language."""
    return tuple(
        name for kind in KINDS for name in local_names(locale, kind) if name.code in THINGS[kind]
    )


def random_date(split: Split, randomness: random.Random) -> datetime.date:
    """Draws a date of a split."""
    first, end = _days()
    while True:
        date = datetime.date.fromordinal(randomness.randrange(first, end))
        if split_of(date.isoformat()) == split:
            return date


def written_date(date: datetime.date, randomness: random.Random) -> str:
    """Writes a date in English, as half of all are, or in another language's long form."""
    if randomness.random() < 0.5:
        return format_date(date, "en", pattern=randomness.choice(_ENGLISH_DATES))
    locale = randomness.choice(LANGUAGES)
    length: Literal["full", "long"] = "full" if randomness.random() < 0.5 else "long"
    return format_date(date, locale, pattern=_pattern(locale, length))


@cache
def _pattern(locale: str, length: Literal["full", "long"]) -> str:
    return date_pattern(locale, length)


@cache
def _all_facts() -> Sequence[LocalName]:
    return tuple(name for locale in LANGUAGES for name in facts(locale))


def _days() -> tuple[int, int]:
    """Returns the first day and the one after the last, counted from the year 1."""
    first = datetime.date(FIRST_YEAR, 1, 1)
    return first.toordinal(), datetime.date(LAST_YEAR + 1, 1, 1).toordinal()


@cache
def _held_out_dates() -> Sequence[datetime.date]:
    dates = (datetime.date.fromordinal(day) for day in range(*_days()))
    return tuple(date for date in dates if split_of(date.isoformat()) == "validation")
