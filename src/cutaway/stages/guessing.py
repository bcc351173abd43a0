"""The setting `guess=` of the verbs that write: what guesses the next tokens of an answer."""

from pathlib import Path
from typing import TYPE_CHECKING

from cutaway.errors import UsageError

if TYPE_CHECKING:
    from cutaway.inference.guessing import MakeGuesser
    from cutaway.tokenizer.base import Tokenizer

PROMPT = "prompt"
"""The word for guesses that are copied out of the text so far."""

SHORTEST = 2
"""Tokens that must agree before what followed them is guessed: after a single one, such as a space,
nearly anything follows."""


def make_guesser(guess: str, *, tokenizer: "Tokenizer", device: str) -> "MakeGuesser | None":
    """What makes the guesser of an answer; None: nothing is guessed.

    Raises:
        UsageError: the smaller model has another tokenizer.
        CutawayError: there is no such model.
    """
    from cutaway.inference.speculative import DraftModel, PromptLookup
    from cutaway.interop.open import open_model

    if not guess:
        return None
    if guess == PROMPT:
        return lambda: PromptLookup(shortest=SHORTEST)
    opened = open_model(Path(guess), device=device)
    if opened.tokenizer.fingerprint != tokenizer.fingerprint:
        raise UsageError(
            f"guess={guess[:80]}: its tokenizer is not the model's, so its tokens are others;\n"
            f"give a model that was trained with the same tokenizer, or guess={PROMPT}"
        )
    return lambda: DraftModel(opened.model)
