"""Fills the blanks of a text: the surest blank first, then the others with that word in place."""

from dataclasses import dataclass

import torch

from cutaway.errors import UsageError
from cutaway.models.bert import Bert
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.wordpiece import FIRST, MASK, SEPARATOR


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A word that may stand in a blank."""

    word: str
    """As it is spelled; a piece inside of a word begins with ##."""
    probability: float
    """As the model says, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A text without blanks, and what else might stand in each."""

    text: str
    """With the likeliest word in each blank."""
    blanks: tuple[tuple[Choice, ...], ...]
    """The likeliest words of each blank in the order of the text."""


@torch.inference_mode()
def fill(model: Bert, text: str, *, tokenizer: Tokenizer, choices: int = 5) -> Filled:
    """Puts words where `[MASK]` stands in a text.

    Raises:
        UsageError: there is no blank, the text is too long, or the model names no words.
    """
    if model.words is None:
        raise UsageError(
            "this BERT has no head that names words, so it fills no blanks;\n"
            "give one that was pretrained here, or a folder of BertForMaskedLM"
        )
    ids = blanked(text, tokenizer)
    mask, most = tokenizer.special[MASK], model.config.context_length
    if mask not in ids:
        raise UsageError(f"there is no blank in the text: write {MASK} where a word is missing")
    if len(ids) > most:
        raise UsageError(f"the text has {len(ids)} tokens, and the model reads {most}; shorten it")
    tokens = torch.tensor([ids], device=model.embedding.weight.device)
    control = torch.tensor(sorted(tokenizer.special.values()), device=tokens.device)
    found: dict[int, tuple[Choice, ...]] = {}
    while (blanks := (tokens[0] == mask).nonzero()[:, 0]).numel():
        logits = model.name_words(model(tokens)[0, blanks]).float()
        logits[:, control] = -torch.inf
        best, words = logits.softmax(dim=-1).topk(min(choices, logits.shape[-1]), dim=-1)
        surest = int(best[:, 0].argmax())
        place = int(blanks[surest])
        found[place] = tuple(
            Choice(word=spelled(tokenizer, word), probability=probability)
            for word, probability in zip(words[surest].tolist(), best[surest].tolist(), strict=True)
        )
        tokens[0, place] = words[surest, 0]
    return Filled(
        text=tokenizer.decode(tokens[0].tolist()).strip(),
        blanks=tuple(found[place] for place in sorted(found)),
    )


def blanked(text: str, tokenizer: Tokenizer) -> list[int]:
    """The ids of a text in which `[MASK]` means a blank, with what stands around a text.

    Only here does a text become a control id: the blank is what was asked for.
    """
    special = tokenizer.special
    ids = [special[FIRST]]
    for number, part in enumerate(text.split(MASK)):
        ids += [special[MASK]] if number else []
        ids += tokenizer.encode(part)
    return [*ids, special[SEPARATOR]]


def spelled(tokenizer: Tokenizer, token: int) -> str:
    """A token for people: a piece that goes on with a word begins with ##."""
    spelling = tokenizer.token_bytes(token).decode("utf-8", errors="replace")
    return spelling[1:] if spelling.startswith(" ") else f"##{spelling}"
