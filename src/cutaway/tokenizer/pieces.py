"""Cuts text into pieces that byte-pair encoding never joins (Radford et al. 2019, section 2.2).

The engine is that of `tokenizers`, which reads the same pattern from `tokenizer.json`. So the plain
form and the fast ones can only differ in how they merge, never in whose Unicode version says what a
letter is.
"""

import re

from tokenizers import Regex, pre_tokenizers

PATTERN = (
    r" ?[\p{L}\p{M}]+(?:['’][\p{L}\p{M}]+)*"  # a word with the space before it
    r"|\p{N}"  # one digit: a number is spelt, so that place value can be learned
    r"| ?[^\s\p{L}\p{M}\p{N}]+(?:[\r\n]\s*)?"  # signs, and the line's end after them
    r"|\s+"  # other white space
)
"""Our own pattern. It looks neither ahead nor behind: its time is always in proportion to the text.

A run of Chinese characters is one piece up to the next punctuation mark; merging finds its words.
"""

GPT2_PATTERN = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # as published
)


def split(text: str, *, pattern: str) -> list[str]:
    """The pieces of a text, in order and without a gap; together they are the text."""
    splitter = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    return [piece for piece, _ in splitter.pre_tokenize_str(well_formed(text))]


def well_formed(text: str) -> str:
    """The text with each half of a surrogate pair, which UTF-8 cannot hold, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def require_bounded(pattern: str) -> None:
    """Refuses a foreign pattern in which a repetition without end repeats without end.

    On such a pattern, as `(a+)+b`, an engine that tries again takes a time that doubles with each
    letter.

    Raises:
        ValueError: the pattern is of this kind, or longer than any that is published.
    """
    if pattern in (PATTERN, GPT2_PATTERN):
        return  # in ours every round begins with an apostrophe, so there is one way to read a text
    if len(pattern) > 4096:
        raise ValueError("its pattern has more than 4,096 characters")
    is_endless = [False]  # for each open group, whether something in it repeats without end
    place, in_class = 0, False
    while place < len(pattern):
        character = pattern[place]
        if character == "\\":
            place += 2
            continue
        if in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character == "(":
            is_endless.append(False)
        elif character == ")" and len(is_endless) > 1:
            inner = is_endless.pop()
            if inner and _repeats(pattern, place + 1):
                raise ValueError(f"its pattern {pattern[:80]!r} repeats what itself repeats")
            is_endless[-1] |= inner
        elif character in "+*{" and _repeats(pattern, place):
            is_endless[-1] = True
        place += 1


_ENDLESS = re.compile(r"[+*]|\{[0-9]+,\}")


def _repeats(pattern: str, place: int) -> bool:
    """Whether a repetition without an upper bound stands at a place."""
    return _ENDLESS.match(pattern, place) is not None
