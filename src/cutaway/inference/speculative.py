"""Speculative decoding: guess some tokens cheaply, check them all in one pass (Leviathan et al.
2023, algorithm 1).

A pass over five tokens reads the weights as often as a pass over one. What is written has exactly
the distribution of the model and its sampler, whoever guesses; good guesses only make it faster.
The engine checks guesses in its own way (`guessing.py`): there even a sampled text stays the same.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.errors import UsageError
from cutaway.inference.generate import Completion, most_tokens, resting
from cutaway.inference.sampling import Sampler, draw_uniforms
from cutaway.models.decoder import Decoder
from cutaway.nn.cache import KeyValueCache


@dataclass(frozen=True, kw_only=True)
class Guess:
    """Tokens that may come next."""

    ids: list[int]
    """The guessed tokens."""
    distributions: Float[Tensor, "N V"] | None
    """What each was drawn from; None: it was certain, drawn from nothing."""


@runtime_checkable
class Guesser(Protocol):
    """Proposes what may follow one text that grows."""

    def begin(self, *, vocabulary: int) -> None:
        """Forgets the text before, if any; `vocabulary`: the tokens that may be chosen."""

    def guess(
        self, tokens: Sequence[int], *, most: int, sampler: Sampler, uniforms: Sequence[float]
    ) -> Guess:
        """At most `most` tokens that may follow these; one that draws, draws with `uniforms`."""


@final
@dataclass(frozen=True, kw_only=True)
class PromptLookup:
    """Guesses what followed the last time that the text stood here (Saxena 2023).

    It costs nothing and serves where an answer repeats its question: editing, quoting, code.
    """

    longest: int = 3
    """Tokens that are compared; of several places the one where most of them agree is taken."""
    shortest: int = 1
    """The fewest tokens that must agree."""
    count: int = 8
    """The most tokens guessed at once."""

    def begin(self, *, vocabulary: int) -> None:
        """Remembers nothing, so there is nothing to forget."""

    def guess(
        self, tokens: Sequence[int], *, most: int, sampler: Sampler, uniforms: Sequence[float]
    ) -> Guess:
        """Copies from after the last earlier place with the same ending."""
        place, best = 0, self.shortest - 1
        for end in range(len(tokens) - 2, -1, -1):
            if tokens[end] != tokens[-1]:
                continue
            length = 1
            while (
                length < min(self.longest, end + 1) and tokens[end - length] == tokens[-1 - length]
            ):
                length += 1
            if length > best:
                place, best = end + 1, length
            if best == self.longest:
                break
        # Nothing stood here before: the place is the beginning, whose tokens are no guess.
        after = list(tokens[place:][: min(self.count, most)]) if place else []
        return Guess(ids=after, distributions=None)


@final
class DraftModel:
    """Guesses with a smaller model of the same vocabulary, and with the same sampler."""

    def __init__(self, model: Decoder, *, count: int = 4) -> None:
        """`count`: tokens guessed at once; about the number that are accepted in a row."""
        self._model, self._count = model, count
        self._vocabulary = model.config.vocab_size
        self._cache: KeyValueCache | None = None
        self._read: list[int] = []

    def begin(self, *, vocabulary: int) -> None:
        """Starts with an empty cache.

        Raises:
            UsageError: the draft model has another vocabulary.
        """
        own = self._model.config.vocab_size
        if own < vocabulary:
            raise UsageError(
                f"the draft model knows {own} tokens, but the model {vocabulary};\n"
                "a draft model must be trained with the model's own tokenizer"
            )
        # Ids beyond only pad the draft model's table.
        self._vocabulary = vocabulary
        self._cache, self._read = None, []

    @torch.inference_mode()
    def guess(
        self, tokens: Sequence[int], *, most: int, sampler: Sampler, uniforms: Sequence[float]
    ) -> Guess:
        """Draws tokens one by one, as the plain loop would."""
        context = self._model.config.context_length
        if self._cache is None:
            self._cache = self._model.new_cache(1, context)
        cache, text = self._cache, list(tokens)
        drawn: list[Tensor] = []
        # What was guessed and refused is read no more.
        common = _common(self._read, text)
        cut(cache, min(common, len(text) - 1))
        self._read = text[: cache.longest]
        with resting(self._model):
            for uniform in uniforms[: min(self._count, most)]:
                if len(text) >= context:
                    break
                new = text[len(self._read) :]
                logits = self._model(_row(new, self._model), cache=cache)[:, -1, : self._vocabulary]
                self._read = list(text)
                drawn.append(sampler.distribution(logits)[0])
                numbers = torch.tensor([uniform], device=logits.device)
                text.append(int(sampler.choose(logits, numbers)))
        return Guess(ids=text[len(tokens) :], distributions=torch.stack(drawn) if drawn else None)


@dataclass(frozen=True, kw_only=True)
class Speculation:
    """A completion, and what the guesses were worth."""

    completion: Completion
    passes: int
    """Passes of the model; the plain loop takes one for each token."""
    guessed: int
    """Tokens that were guessed."""
    accepted: int
    """Guesses that the model took."""


def speculate(
    model: Decoder,
    prompt: Sequence[int],
    *,
    guesser: Guesser,
    sampler: Sampler,
    max_tokens: int,
    stop_ids: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> Speculation:
    """Continues one prompt; greedy, it writes what the plain loop writes.

    Raises:
        UsageError: the prompt is empty or leaves no room, or the guesser does not fit the model.
    """
    text = Speculating(
        model,
        prompt,
        guesser=guesser,
        sampler=sampler,
        max_tokens=max_tokens,
        generator=generator,
    )
    ids: list[int] = []
    for token in text:
        ids.append(token)
        if token in stop_ids:
            break
    return Speculation(
        completion=Completion(
            ids=ids,
            logprobs=text.logprobs[: len(ids)],
            finish_reason="stop" if ids[-1] in stop_ids else "length",
        ),
        passes=text.passes,
        guessed=text.guessed,
        accepted=text.accepted,
    )


@final
class Speculating:
    """A text that is being written: iterating over it gives its tokens, some at a time."""

    def __init__(
        self,
        model: Decoder,
        prompt: Sequence[int],
        *,
        guesser: Guesser,
        sampler: Sampler,
        max_tokens: int,
        generator: torch.Generator | None = None,
    ) -> None:
        """Checks the prompt; reads nothing yet."""
        context = model.config.context_length
        self._room = most_tokens(len(prompt), max_tokens=max_tokens, context_length=context)
        self._model, self._guesser, self._sampler = model, guesser, sampler
        self._tokens = list(prompt)
        self._generator = generator or torch.Generator()
        guesser.begin(vocabulary=model.config.vocab_size)
        self.logprobs: list[float] = []
        self.passes = self.guessed = self.accepted = 0

    def __iter__(self) -> Iterator[int]:
        """Guesses, checks, and gives what is certain."""
        cache = self._model.new_cache(1, len(self._tokens) + self._room)
        with resting(self._model):
            while len(self.logprobs) < self._room:
                yield from self._pass(cache)

    @torch.inference_mode()
    def _pass(self, cache: KeyValueCache) -> list[int]:
        # The pass itself adds a token after the guesses.
        most = self._room - len(self.logprobs) - 1
        uniforms = draw_uniforms(max(most, 0), self._generator).tolist()
        guess = self._guesser.guess(
            self._tokens, most=most, sampler=self._sampler, uniforms=uniforms
        )
        new = self._tokens[cache.longest :] + guess.ids
        vectors = self._model.hidden(_row(new, self._model), cache=cache)
        logits = self._model.unembed(vectors[:, -len(guess.ids) - 1 :])[0]
        taken = accepted(self._sampler.distribution(logits), guess=guess, generator=self._generator)
        logprobs = logits[: len(taken)].float().log_softmax(dim=-1)
        self.logprobs += [float(row[token]) for row, token in zip(logprobs, taken, strict=True)]
        self._tokens += taken
        self.passes += 1
        self.guessed += len(guess.ids)
        self.accepted += len(taken) - 1
        cut(cache, len(self._tokens) - 1)
        return taken


def accepted(
    wanted: Float[Tensor, "M V"], *, guess: Guess, generator: torch.Generator
) -> list[int]:
    """The guesses up to the first that is refused, and one token more (algorithm 1).

    A guess drawn from q is taken with probability min(1, p / q); where it is refused, a token is
    drawn from what p has above q. So each token has the distribution p, whatever q is.
    """
    taken: list[int] = []
    for place, token in enumerate(guess.ids):
        p = wanted[place]
        if guess.distributions is None:
            q = torch.zeros_like(p)
            q[token] = 1.0
        else:
            q = guess.distributions[place]
        if float(torch.rand((), generator=generator)) * float(q[token]) < float(p[token]):
            taken.append(token)
            continue
        left = (p - q).clamp(min=0)
        # Rounding can leave nothing where p and q are the same.
        return [*taken, _draw(left if float(left.sum()) > 0 else p, generator)]
    return [*taken, _draw(wanted[len(guess.ids)], generator)]


def cut(cache: KeyValueCache, length: int) -> None:
    """Forgets what a cache of one row holds beyond a length."""
    cache.lengths = torch.full_like(cache.lengths, length)
    cache.longest = length


def _draw(distribution: Float[Tensor, " V"], generator: torch.Generator) -> int:
    cumulative = distribution.double().cumsum(dim=-1)
    # 1 - u is above 0: a token without probability is never drawn.
    point = (1.0 - torch.rand((), generator=generator, dtype=torch.float64)) * cumulative[-1].cpu()
    return int(torch.searchsorted(cumulative, point.to(cumulative.device)))


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many first tokens are the same."""
    for place, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return place
    return min(len(left), len(right))


def _row(tokens: Sequence[int], model: Decoder) -> Tensor:
    return torch.tensor([list(tokens)], device=next(iter(model.parameters())).device)
