"""Names of countries, languages, months and more, and ways to write dates, in many languages.

All are facts of the Unicode Common Locale Data Repository (CLDR), read from PyPI `babel`.
"""

import copy
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from cutaway.errors import DataError

Kind = Literal["country", "language", "weekday", "month"]
KINDS: tuple[Kind, ...] = ("country", "language", "weekday", "month")

_FIELD = re.compile(r"'([^']*)'|(EEEE|MMMM|MMM|MM|M|dd|d|yy|y)|(.)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class LocalName:
    """What a thing that English names is called in another language."""

    kind: Kind
    """Country, language, weekday or month."""
    code: str
    """The thing in CLDR: a territory, a language, or the number of a day (0 is Monday) or month."""
    locale: str
    """The other language, as a CLDR locale: `de`, `zh_Hant`."""
    language: str
    """The other language's name in English."""
    english: str
    """The thing's name in English."""
    local: str
    """The thing's name in the other language."""


def locales() -> tuple[str, ...]:
    """Returns every language that CLDR knows, one locale each."""
    _locale("en")
    from babel.localedata import locale_identifiers

    return tuple(sorted(name for name in locale_identifiers() if "_" not in name))


@cache
def local_names(locale: str, kind: Kind) -> tuple[LocalName, ...]:
    """Returns the names of one kind in one language, those that CLDR does not have left out."""
    english, other = _names("en", kind), _names(locale, kind)
    language = _names("en", "language").get(locale, locale)
    return tuple(
        LocalName(
            kind=kind,
            code=code,
            locale=locale,
            language=language,
            english=name,
            local=other[code],
        )
        for code, name in sorted(english.items())
        if code in other
    )


@dataclass(frozen=True, kw_only=True)
class FurtherName:
    """A name, or a way to write an amount, that is of no kind of its own."""

    thing: str
    """What CLDR calls it; several names may be of one thing."""
    english: str
    """The thing's name in English."""
    local: str
    """The thing's name in the other language."""


def further_names(locale: str) -> Iterator[FurtherName]:
    """Yields scripts, spellings, currencies, units with `{0}` for the amount, and time zones."""
    english, other = _locale("en"), _locale(locale)
    for kind in ("scripts", "variants", "currency_names"):
        for code, name in sorted(english[kind].items()):
            if code in other[kind]:
                yield FurtherName(thing=code, english=str(name), local=str(other[kind][code]))
    for kind, length in (("unit_patterns", "long"), ("meta_zones", "long")):
        for thing, lengths in sorted(english[kind].items()):
            forms = lengths.get(length, {})
            said = other[kind].get(thing, {}).get(length, {})
            for form, name in sorted(forms.items()):
                # Chinese says "other" of any amount.
                local = said.get(form, said.get("other"))
                if isinstance(name, str) and isinstance(local, str):
                    yield FurtherName(thing=thing, english=name, local=local)


def format_date(date: datetime.date, locale: str, *, pattern: str) -> str:
    """Writes a date by a CLDR pattern in small form, such as `EEEE, d. MMMM y`.

    Letters of the pattern that it does not know are written as they stand; `'de'` is written de.
    """
    names = _date_names(locale)
    written = {
        "EEEE": names.weekdays[date.weekday()],
        "MMMM": names.months[date.month - 1],
        "MMM": names.short_months[date.month - 1],
        "MM": f"{date.month:02d}",
        "M": str(date.month),
        "dd": f"{date.day:02d}",
        "d": str(date.day),
        "yy": f"{date.year % 100:02d}",
        "y": str(date.year),
    }
    pieces = _fields(pattern)
    return "".join(written[piece] if is_field else piece for is_field, piece in pieces)


def date_pattern(locale: str, length: Literal["full", "long", "medium", "short"]) -> str:
    """Returns how a language writes dates at a given length."""
    return str(_locale(locale)["date_formats"][length].pattern)


@dataclass(frozen=True, kw_only=True)
class _DateNames:
    weekdays: Sequence[str]
    months: Sequence[str]
    short_months: Sequence[str]


@cache
def _date_names(locale: str) -> _DateNames:
    days, months = _locale(locale)["days"]["format"], _locale(locale)["months"]["format"]
    return _DateNames(
        weekdays=[days["wide"][day] for day in range(7)],
        months=[months["wide"][month] for month in range(1, 13)],
        short_months=[months["abbreviated"][month] for month in range(1, 13)],
    )


@cache
def _fields(pattern: str) -> tuple[tuple[bool, str], ...]:
    matches = _FIELD.finditer(pattern)
    return tuple((m[2] is not None, m[2] or (m[1] if m[1] is not None else m[3])) for m in matches)


@cache
def _names(locale: str, kind: Kind) -> Mapping[str, str]:
    found = _locale(locale)
    if kind == "country":
        return {code: str(name) for code, name in found["territories"].items() if code.isalpha()}
    if kind == "language":
        return {code: str(name) for code, name in found["languages"].items()}
    if kind == "weekday":
        return {str(day): str(name) for day, name in found["days"]["stand-alone"]["wide"].items()}
    return {str(month): str(name) for month, name in found["months"]["stand-alone"]["wide"].items()}


@cache
def _locale(name: str) -> Any:
    """Returns a language's data as tables of its own.

    babel resolves an alias in place, in tables that languages share: reading Swahili's weekdays
    first would make them Italian's too. A deep copy shares nothing.
    """
    try:
        from babel import Locale, localedata
    except ImportError as error:
        raise DataError(
            "this corpus is read from the package babel, which is not installed\n"
            "install it: pip install 'cutaway[corpora]'"
        ) from error
    data: Any = copy.deepcopy(localedata.load(str(Locale.parse(name))))
    return localedata.LocaleDataDict(data)
