"""Chinese verses: their forms, and whether a clause has as many characters as its form asks for."""

import re
from collections.abc import Mapping
from types import MappingProxyType

FORMS: Mapping[str, int] = MappingProxyType({"five": 5, "seven": 7})
"""Characters of a clause by the name of the form."""

_MARKS = re.compile(r"[，。？！；：、\s]+")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


def lines(poem: str) -> list[str]:
    """Returns the lines of a poem, each of which holds some clauses."""
    return [line.strip() for line in poem.splitlines() if line.strip()]


def clauses(poem: str) -> list[str]:
    """Returns what stands between the marks of a poem."""
    return [clause for clause in _MARKS.split(poem) if clause]


def is_in_form(clause: str, form: str) -> bool:
    """Whether a clause has as many characters as its form says, all of them Chinese."""
    return len(clause) == FORMS[form] and _HAN.fullmatch(clause) is not None


def form_of(poem: str) -> str | None:
    """Returns the form that every clause of a poem has; None where there is no such form."""
    parts = clauses(poem)
    for form in FORMS:
        if parts and all(is_in_form(clause, form) for clause in parts):
            return form
    return None
