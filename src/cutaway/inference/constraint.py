"""Answers that must have a form: JSON, or what a JSON schema describes, by `llguidance`.

Before a token is chosen, those that the form does not allow lose all probability (Willard and Louf
2023, section 3). The library follows the form through the bytes of the tokens.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from cutaway.errors import CutawayError, DataError, UsageError
from cutaway.tokenizer.base import Tokenizer

LARGEST_SCHEMA = 65_536
"""Characters of a schema, written as JSON."""
DEEPEST_SCHEMA = 64
"""Levels of objects and lists within each other."""

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
"""The schema of JSON mode."""

# White space is bounded, or a model could write nothing else until `max_tokens`.
_JSON: Any = {"whitespace_pattern": r"\n? {0,8}", "lenient": False}

# The library counts its work instead of its time, so a schema is refused on every machine or none.
# By its documentation: some 20 ms to start with, some 14 ms and 50,000 items for each token.
_LIMITS: Mapping[str, Any] = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 50_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 100_000,
    "verbose_errors": False,
}


@final
@dataclass(frozen=True)
class Constraint:
    """A form, compiled for one tokenizer; any number of requests may share it."""

    _matcher: Any
    vocab_size: int
    """Tokens of the tokenizer that it was compiled for."""

    def begin(self, stop_ids: frozenset[int]) -> "Constrained":
        """The start of one answer of this form, which one of these tokens may end."""
        return Constrained(self._matcher.deep_copy(), vocab_size=self.vocab_size, stop_ids=stop_ids)


@final
class Constrained:
    """One answer on its way through a form."""

    def __init__(self, matcher: Any, *, vocab_size: int, stop_ids: frozenset[int]) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._stop_ids = [token for token in stop_ids if token < vocab_size]

    def allowed(self) -> Bool[Tensor, " V"]:
        """Which tokens may come next; what ends the answer may, where the form is complete.

        Raises:
            CutawayError: no token may, or finding out takes more work than is allowed.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        may = np.unpackbits(bits, count=self._vocab_size, bitorder="little").astype(bool)
        allowed = torch.from_numpy(may)
        if not self._matcher.is_error():
            if self._matcher.is_accepting():
                allowed[self._stop_ids] = True
            if bool(allowed.any()):
                return allowed
        raise CutawayError(
            "the answer cannot go on in the form that was asked for:\n"
            + _told(
                self._matcher.get_error(), otherwise="the tokenizer cannot write what comes next"
            )
        )

    def take(self, token: int) -> None:
        """Goes on with a token that was allowed."""
        self._matcher.consume_token(token)

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow."""
        return bool(self._matcher.is_stopped())


@final
class Grammars:
    """Compiles forms for one tokenizer; may be used in any thread, one call at a time."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Takes the bytes of every token; about a second for 50,000 of them.

        Raises:
            UsageError: the library is not installed.
        """
        try:
            import llguidance
        except ImportError as error:
            raise UsageError(
                "answers in JSON need the library llguidance, which is not installed:\n"
                "pip install 'cutaway[serve]'"
            ) from error
        self._library = llguidance
        self.vocab_size = tokenizer.vocab_size
        self._tokenizer = llguidance.LLTokenizer(
            llguidance.TokenizerWrapper(_Vocabulary(tokenizer))
        )
        self._limits = llguidance.LLParserLimits(**_LIMITS)

    def json_object(self) -> Constraint:
        """Any JSON object."""
        return self.json_schema(ANY_OBJECT)

    def json_schema(self, schema: Mapping[str, Any]) -> Constraint:
        """What a JSON schema describes.

        Raises:
            UsageError: it is no schema, asks for what the library does not know, or is too large.
        """
        written = _write(schema)
        try:
            grammar = self._library.LLMatcher.grammar_from_json_schema(written, overrides=_JSON)
        except ValueError as error:
            raise _refused(str(error)) from error
        matcher = self._library.LLMatcher(
            self._tokenizer, grammar, log_level=0, limits=self._limits
        )
        if matcher.is_error():
            raise _refused(matcher.get_error())
        constraint = Constraint(matcher, self.vocab_size)
        try:
            constraint.begin(frozenset()).allowed()
        except CutawayError as error:
            raise UsageError(str(error)) from error
        return constraint


class _Vocabulary:
    """A tokenizer as the library wants it, with one more token for the end of the form.

    With an end of its own, it does not matter which tokens end an answer, or whether any does.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        end = tokenizer.vocab_size
        self.tokens = [tokenizer.token_bytes(token) for token in range(end)] + [b"<|end of form|>"]
        # Control tokens and ids without bytes are never part of a form.
        self.special_token_ids = [id_ for id_, spelling in enumerate(self.tokens) if not spelling]
        self.special_token_ids.append(end)
        self.eos_token_id, self.bos_token_id = end, None
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        try:
            return self._tokenizer.encode(text)
        except DataError:  # a letter that it does not know; the library would tell our traceback
            return []


def _write(schema: Mapping[str, Any]) -> str:
    """The schema as JSON, if it is of a size that is allowed."""
    deepest = _depth(schema)
    if deepest > DEEPEST_SCHEMA:
        raise UsageError(
            f"the JSON schema is more than {DEEPEST_SCHEMA} levels deep; write a flatter one"
        )
    try:
        written = json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _refused(str(error)) from error
    if len(written) > LARGEST_SCHEMA:
        raise UsageError(
            f"the JSON schema has {len(written):,} characters, but at most {LARGEST_SCHEMA:,} "
            "are read"
        )
    return written


def _depth(value: object) -> int:
    """Levels of objects and lists; stops counting just above what is allowed."""
    level: list[object] = [value]
    for depth in range(DEEPEST_SCHEMA + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list | tuple)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not level:
            return depth
    return DEEPEST_SCHEMA + 1


def _refused(reason: str) -> UsageError:
    told = _told(reason, otherwise="it cannot be compiled")
    return UsageError(f"the JSON schema cannot be used: {told}")


def _told(reason: str | None, *, otherwise: str) -> str:
    """What the library says, short, and nothing of its inside where it has failed itself."""
    first = (reason or "").strip().partition("\n")[0]
    # A single word is a name of the library's own.
    return first[:300] if " " in first and "panic" not in first else otherwise
