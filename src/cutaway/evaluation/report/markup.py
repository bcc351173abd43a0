"""HTML and SVG as values: what is not markup is escaped, so no text can become markup."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias, final

NO_ATTRIBUTES: Mapping[str, str | int | float] = {}

# Control characters but tab and end of line, halves of characters, and what is no character.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

# Elements that have no content and no end.
VOID = frozenset({"br", "meta", "hr", "wbr"})


@final
class Markup(str):
    """A text that is markup already."""

    __slots__ = ()


Content: TypeAlias = "str | Sequence[str | Markup]"


def tag(
    name: str,
    content: Content = (),
    *,
    css: str = "",
    attributes: Mapping[str, str | int | float] = NO_ATTRIBUTES,
) -> Markup:
    """Returns one element; `css` is its class, and numbers among the attributes are rounded."""
    given = {"class": css, **attributes} if css else attributes
    opening = "".join(f' {key}="{_attribute(value)}"' for key, value in given.items())
    if name in VOID:
        return Markup(f"<{name}{opening}>")
    return Markup(f"<{name}{opening}>{join(content)}</{name}>")


def join(content: Content) -> Markup:
    """Returns markup as it is and text escaped, one after the other."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(html.escape(_printable(content), quote=False))
    return Markup("".join(join(part) for part in content))


def _attribute(value: str | int | float) -> str:
    if isinstance(value, str):
        return html.escape(_printable(value), quote=True)
    return f"{value:.1f}".removesuffix(".0")


def _printable(text: str) -> str:
    """Returns a text with control characters drawn and half characters replaced.

    A model may write anything; what is shown must be visible and valid UTF-8.
    """
    return UNPRINTABLE.sub(lambda found: _drawn(ord(found[0])), text)


def _drawn(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"
