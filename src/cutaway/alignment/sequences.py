"""Prompts with answers as rows of tokens, and the log-probability of each token of an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cutaway.alignment.rewards import Exchange
from cutaway.data.batches import TokenBatch
from cutaway.models.decoder import Decoder
from cutaway.text.conversations import Conversation, Message
from cutaway.tokenizer.chat import ChatFormat


@dataclass(frozen=True, kw_only=True)
class Written:
    """A prompt and an answer to it, as ids."""

    prompt: tuple[int, ...]
    """The ids that ask for an answer."""
    answer: tuple[int, ...]
    """The ids of the answer, with the one that ends it where it has an end."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a model says about rows of answers; nothing of it counts outside `loss_mask`."""

    logprobs: Float[Tensor, "B T"]
    """Log-probability of each target, in nats; 0 outside the mask."""
    vectors: Float[Tensor, "B T D"]
    """What the unembedding reads."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A reading with what else could have been said."""

    reading: Reading
    """What was said."""
    entropies: Float[Tensor, "B T"]
    """Entropy of the distribution that each target was drawn from, in nats; 0 outside the mask."""


def written_by(chat: ChatFormat, exchange: Exchange) -> Written:
    """Returns an answered prompt as ids, ended."""
    prompt = chat.prompt(Conversation(messages=exchange.prompt))
    said = Message(role="assistant", content=exchange.answer)
    whole = chat.encode(Conversation(messages=(*exchange.prompt, said))).ids
    return Written(prompt=tuple(prompt), answer=tuple(whole[len(prompt) :]))


def rows_of(answers: Sequence[Written]) -> TokenBatch:
    """Returns a row for each answer, padded on the right; only the answers are learned from."""
    length = max(len(one.prompt) + len(one.answer) for one in answers) - 1
    shape = (len(answers), length)
    tokens = torch.zeros(shape, dtype=torch.int64)
    targets = torch.zeros(shape, dtype=torch.int64)
    documents = torch.zeros(shape, dtype=torch.int64)
    mask = torch.zeros(shape, dtype=torch.bool)
    for row, one in enumerate(answers):
        ids = torch.tensor([*one.prompt, *one.answer])
        end = len(ids) - 1
        tokens[row, :end], targets[row, :end] = ids[:-1], ids[1:]
        documents[row, :end] = 1
        mask[row, len(one.prompt) - 1 : end] = True
    return TokenBatch(tokens=tokens, targets=targets, loss_mask=mask, documents=documents)


def used_columns(batch: TokenBatch, rows: Int[Tensor, " N"]) -> slice:
    """Returns the columns in which some of these rows have a token."""
    used = batch.documents[rows].any(dim=0).nonzero()
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)


def chosen_rows(batch: TokenBatch, rows: Int[Tensor, " N"]) -> TokenBatch:
    """Returns some rows of a batch, without the columns that only the others needed."""
    columns = used_columns(batch, rows)
    return TokenBatch(
        tokens=batch.tokens[rows, columns],
        targets=batch.targets[rows, columns],
        loss_mask=batch.loss_mask[rows, columns],
        documents=batch.documents[rows, columns],
    )


def read_answers(model: nn.Module, batch: TokenBatch) -> Reading:
    """Runs a decoder over rows; logits are made for the answers' tokens alone."""
    vectors, logprobs = _read(model, batch)
    return _reading(batch, vectors=vectors, logprobs=logprobs)


def survey_answers(model: nn.Module, batch: TokenBatch) -> Survey:
    """Does the same, and measures how open each choice was, which takes as long as the softmax."""
    vectors, logprobs = _read(model, batch)
    with torch.no_grad():
        spread = -(logprobs.exp() * logprobs).sum(dim=-1)
    return Survey(
        reading=_reading(batch, vectors=vectors, logprobs=logprobs),
        entropies=_in_rows(batch, spread),
    )


def _read(
    model: nn.Module, batch: TokenBatch
) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "N V"]]:
    decoder = cast(Decoder, model)
    documents = None if _is_padded_behind(batch.documents) else batch.documents
    vectors = decoder.hidden(batch.tokens, documents=documents)
    logits = decoder.unembed(vectors[batch.loss_mask][None])[0]
    # Not by logsumexp, which takes two to three times as long.
    return vectors, logits.float().log_softmax(dim=-1)


def _is_padded_behind(documents: Int[Tensor, "B T"]) -> bool:
    """Whether padding is only where no token looks: then attention needs no mask but the order."""
    before = torch.ones_like(documents[:, :1])
    return bool((documents.diff(dim=1, prepend=before) <= 0).all())


def _reading(
    batch: TokenBatch, *, vectors: Float[Tensor, "B T D"], logprobs: Float[Tensor, "N V"]
) -> Reading:
    picked = logprobs.gather(-1, batch.targets[batch.loss_mask][:, None]).squeeze(-1)
    return Reading(logprobs=_in_rows(batch, picked), vectors=vectors)


def _in_rows(batch: TokenBatch, values: Float[Tensor, " N"]) -> Float[Tensor, "B T"]:
    """Puts a number of each learned token in its place; 0 elsewhere."""
    nothing = torch.zeros(batch.loss_mask.shape, device=values.device)
    return nothing.masked_scatter(batch.loss_mask, values)


def logprob_sums(
    model: nn.Module, answers: Sequence[Written], *, rows: int = 64
) -> Float[Tensor, " B"]:
    """Returns the log-probability of each whole answer, without gradients."""
    device = next(model.parameters()).device
    found: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(answers), rows):
            batch = rows_of(answers[start : start + rows]).to(device)
            found.append(read_answers(model, batch).logprobs.sum(dim=1).cpu())
    return torch.cat(found)


def read_off(head: nn.Linear, vectors: Float[Tensor, "*B D"]) -> Float[Tensor, "*B"]:
    """Returns a head's one number for each vector, in fp32 whatever the model is computed in."""
    return (vectors.float() * head.weight[0]).sum(dim=-1) + head.bias


def masked_mean(values: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Returns the mean over the mask; 0 where the mask is empty."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)
