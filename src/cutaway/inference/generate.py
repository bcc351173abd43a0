"""Generation as one plain loop: read everything, choose a token, append it (the reference)."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from cutaway.errors import UsageError
from cutaway.inference.sampling import Sampler
from cutaway.models.decoder import Decoder
from cutaway.models.encoder_decoder import EncoderDecoder


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What a model wrote after a prompt."""

    ids: list[int]
    """The new tokens, with the one that ended the text where `finish_reason` is stop."""
    logprobs: list[float]
    """Logarithm (nats) of the model's own probability of each token, whatever the sampler."""
    finish_reason: Literal["stop", "length"]
    """Whether a stop token ended the text, or `max_tokens` or the context's length did."""

    @property
    def text_ids(self) -> list[int]:
        """The new tokens without the one that ended the text."""
        return self.ids[:-1] if self.finish_reason == "stop" else self.ids


def generate(
    model: Decoder,
    prompt: Sequence[int],
    *,
    sampler: Sampler,
    max_tokens: int,
    stop_ids: Collection[int] = (),
    generator: torch.Generator | None = None,
) -> Completion:
    """Continues one prompt, one token a step, without a cache.

    Raises:
        UsageError: the prompt is empty, or leaves no room in the model's context.
    """
    tokens = list(prompt)
    room = most_tokens(
        len(prompt), max_tokens=max_tokens, context_length=model.config.context_length
    )
    logprobs: list[float] = []
    with resting(model), torch.inference_mode():
        device = next(iter(model.parameters())).device
        while len(logprobs) < room:
            logits = model(torch.tensor([tokens], device=device))[:, -1]
            chosen = int(sampler(logits, generator))
            logprobs.append(float(logits[0].float().log_softmax(dim=-1)[chosen]))
            tokens.append(chosen)
            if chosen in stop_ids:
                return Completion(
                    ids=tokens[len(prompt) :], logprobs=logprobs, finish_reason="stop"
                )
    return Completion(ids=tokens[len(prompt) :], logprobs=logprobs, finish_reason="length")


def most_tokens(prompt_length: int, *, max_tokens: int, context_length: int) -> int:
    """How many tokens may follow a prompt: prompt and answer together fit the context.

    Raises:
        UsageError: the prompt is empty, leaves no room, or `max_tokens` is not positive.
    """
    if max_tokens < 1:
        raise UsageError(f"max_tokens is {max_tokens}, but at least 1 token must be asked for")
    if prompt_length == 0:
        raise UsageError("the prompt is empty; a model needs at least one token to go on from")
    if prompt_length >= context_length:
        raise UsageError(
            f"the prompt has {prompt_length} tokens, but this model reads {context_length} at once,"
            f"\nanswer included: shorten it by at least {prompt_length - context_length + 1} tokens"
        )
    return min(max_tokens, context_length - prompt_length)


@contextmanager
def resting(model: Decoder | EncoderDecoder) -> Iterator[None]:
    """Switches dropout off inside, and back on afterwards if it was on."""
    was_training = model.training
    if was_training:
        model.train(False)
    try:
        yield
    finally:
        if was_training:
            model.train(True)
