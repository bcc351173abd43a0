"""Laws of names and dates in other languages."""

import datetime
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutaway.text.locales import KINDS, date_pattern, format_date, local_names, locales

dates = pytest.importorskip("babel.dates", reason="needs the extra `corpora`")
LANGUAGES = ["en", "de", "fr", "es", "it", "nl", "zh"]


@given(
    date=st.dates(min_value=datetime.date(1000, 1, 1)),
    locale=st.sampled_from(LANGUAGES),
    length=st.sampled_from(["full", "long", "short"]),
)
def test_a_date_is_written_as_babel_writes_it(
    date: datetime.date, locale: str, length: str
) -> None:
    written = format_date(date, locale, pattern=date_pattern(locale, length))  # type: ignore[arg-type]
    assert written == dates.format_date(date, format=length, locale=locale)


@pytest.mark.parametrize(
    ("locale", "kind", "code", "english", "local"),
    [
        ("de", "country", "DE", "Germany", "Deutschland"),
        ("fr", "language", "zh", "Chinese", "chinois"),
        ("es", "weekday", "5", "Saturday", "sábado"),
        ("zh", "month", "12", "December", "十二月"),
    ],
)
def test_a_thing_has_its_name(locale: str, kind: str, code: str, english: str, local: str) -> None:
    names = {name.code: name for name in local_names(locale, kind)}  # type: ignore[arg-type]
    assert (names[code].english, names[code].local) == (english, local)


def test_there_are_seven_days_and_twelve_months_in_every_language() -> None:
    for locale in LANGUAGES:
        assert len(local_names(locale, "weekday")) == 7
        assert len(local_names(locale, "month")) == 12


def test_hundreds_of_languages_are_known() -> None:
    assert len(locales()) > 200
    assert set(LANGUAGES) <= set(locales())
    assert len(KINDS) == 4


def test_names_do_not_depend_on_the_languages_read_before() -> None:
    code = (
        "import sys; from cutaway.text.locales import local_names\n"
        "for locale in sys.argv[1:]: local_names(locale, 'weekday'); local_names(locale, 'month')\n"
        "print([one.local for one in local_names('it', 'weekday')])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code, *before], capture_output=True, text=True, check=True
        ).stdout
        for before in ([], ["sw", "zh"])
    ]
    assert said[0] == said[1]
    assert "lunedì" in said[0]
