"""How probable a model finds text: bits per byte, with each byte scored once, and perplexity.

Long text is read in windows that overlap, so that a token late in a document is predicted from at
least half a window and not from a window's bare beginning (Baevski and Auli 2019, section 4.4).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import nn

from cutaway.errors import DataError, UsageError
from cutaway.evaluation.intervals import Interval, bootstrap_rate
from cutaway.inference.generate import resting
from cutaway.models.decoder import Decoder
from cutaway.tokenizer.base import Tokenizer

BATCH_TOKENS = 4096
"""Tokens in one forward pass."""

LOGITS_AT_ONCE = 2048
"""Predictions whose logits are held at once."""

FEWEST_DOCUMENTS = 20
"""With fewer documents than this, spread is taken from blocks of tokens instead of documents."""

BLOCK_TOKENS = 256
"""Length of such a block."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A piece of a text that is read at once, of which only the end may still need a score."""

    start: int
    """First prediction that the model makes here."""

    stop: int
    """One past the last prediction."""

    scored_from: int
    """First prediction that counts; those before it were counted in an earlier window."""


@dataclass(frozen=True, kw_only=True)
class TokenLosses:
    """What each token of one text cost the model."""

    nats: Float[np.ndarray, " T"]
    """-log p of each token, given the tokens before it."""

    contexts: Int64[np.ndarray, " T"]
    """Number of tokens from which each was predicted, <|endoftext|> included."""

    token_sizes: Int64[np.ndarray, " T"]
    """Bytes of each token."""

    num_bytes: int
    """Bytes of the text in UTF-8."""

    num_words: int
    """Words of the text, as white space parts them."""


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """How well a model predicts a body of text."""

    bits_per_byte: Interval
    """-log2 p of the text over its bytes; comparable between tokenizers. Lower is better."""

    nats_per_token: Interval
    """The mean loss; comparable only between models of one tokenizer."""

    nats_per_word: Interval
    """The loss over the number of words, as white space parts them."""

    num_documents: int
    """Texts that were scored."""

    num_bytes: int
    """Their bytes in UTF-8."""

    num_tokens: int
    """Their tokens."""

    @property
    def perplexity_per_token(self) -> float:
        """exp of the mean loss."""
        return exponential(self.nats_per_token.value)

    @property
    def perplexity_per_word(self) -> float:
        """exp of the loss over the number of words."""
        return exponential(self.nats_per_word.value)


def likelihood(
    model: Decoder,
    texts: Sequence[str],
    *,
    tokenizer: Tokenizer,
    stride: int | None = None,
    seed: int = 0,
) -> Likelihood:
    """Scores texts and sums them up; the interval is a bootstrap over documents.

    Where documents are few, it is a bootstrap over blocks of tokens, which takes text within a
    document to be as varied as text between documents and is therefore somewhat narrow.
    """
    losses = score_texts(model, texts, tokenizer=tokenizer, stride=stride)
    return summarise(losses, seed=seed)


def score_texts(
    model: Decoder,
    texts: Sequence[str],
    *,
    tokenizer: Tokenizer,
    stride: int | None = None,
) -> list[TokenLosses]:
    """Returns the loss of every token of every text; the first is predicted from <|endoftext|>.

    Raises:
        DataError: There is nothing to score.
    """
    start = tokenizer.begin_id
    kept = [text for text in texts if text]
    if not kept:
        raise DataError("there is no text to score; give at least one document that is not empty")
    sequences = [[start, *ids] for ids in tokenizer.encode_batch(kept)]
    table = np.array([len(tokenizer.token_bytes(id)) for id in range(tokenizer.vocab_size)])
    scored = token_losses(model, sequences, stride=stride)
    return [
        TokenLosses(
            nats=nats,
            contexts=contexts,
            token_sizes=table[ids[1:]],
            num_bytes=len(text.encode(errors="replace")),
            num_words=len(text.split()),
        )
        for text, ids, (nats, contexts) in zip(kept, sequences, scored, strict=True)
    ]


def token_losses(
    model: Decoder,
    sequences: Sequence[Sequence[int]],
    *,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> list[tuple[Float[np.ndarray, " T"], Int64[np.ndarray, " T"]]]:
    """Returns -log p of all but the first id of each sequence, and how many ids it was seen from.

    `stride` is how far a window moves, half the context unless given; each token is scored exactly
    once.
    """
    length = model.config.context_length
    stride = stride or max(1, length // 2)
    if not 1 <= stride <= length:
        raise UsageError(f"a stride of {stride} tokens leaves gaps; use 1 to {length}, the context")
    nats = [np.full(max(0, len(ids) - 1), np.nan) for ids in sequences]
    contexts = [np.zeros(len(part), dtype=np.int64) for part in nats]
    places = [
        (row, window)
        for row, part in enumerate(nats)
        for window in windows(len(part), context_length=length, stride=stride)
    ]
    # Windows of like length share a batch, so that little is spent on padding.
    places.sort(key=lambda place: place[1].start - place[1].stop)
    with resting(model), torch.inference_mode():
        for batch in _batches(places, batch_tokens=batch_tokens):
            for (row, window), losses in zip(batch, _losses(model, sequences, batch), strict=True):
                nats[row][window.scored_from : window.stop] = losses
                first, last = window.scored_from - window.start, window.stop - window.start
                contexts[row][window.scored_from : window.stop] = 1 + np.arange(first, last)
    return list(zip(nats, contexts, strict=True))


def windows(length: int, *, context_length: int, stride: int) -> list[Window]:
    """Covers `length` predictions so that each is scored once, from a long context.

    The first window scores all it holds; the later ones score what the earlier did not reach. The
    last is moved back until it is full.
    """
    if length <= context_length:
        return [Window(start=0, stop=length, scored_from=0)] if length else []
    starts = [*range(0, length - context_length, stride), length - context_length]
    covered = [0, *(start + context_length for start in starts)]
    return [
        Window(start=start, stop=start + context_length, scored_from=scored)
        for start, scored in zip(starts, covered, strict=False)
    ]


def summarise(losses: Sequence[TokenLosses], *, seed: int = 0) -> Likelihood:
    """Sums up the losses of some texts."""
    num_bytes = sum(text.num_bytes for text in losses)
    num_tokens = sum(len(text.nats) for text in losses)
    num_words = sum(text.num_words for text in losses)
    bits_per_byte = _bits_per_byte(losses, seed=seed)
    nats = sum(float(text.nats.sum()) for text in losses)
    # The same sum over another count: the interval is that of the bits, in another unit.
    unit = nats / bits_per_byte.value if bits_per_byte.value else 0.0
    return Likelihood(
        bits_per_byte=bits_per_byte,
        nats_per_token=bits_per_byte.through(lambda bits: bits * unit / num_tokens),
        nats_per_word=bits_per_byte.through(lambda bits: bits * unit / max(1, num_words)),
        num_documents=len(losses),
        num_bytes=num_bytes,
        num_tokens=num_tokens,
    )


def loss_by_position(
    losses: Sequence[TokenLosses], *, edges: Sequence[int]
) -> list[tuple[int, Interval]]:
    """Returns the mean loss in nats of the tokens predicted from fewer tokens than each edge says.

    A bucket reaches from the edge before it; buckets that hold no token are left out.
    """
    nats = np.concatenate([text.nats for text in losses])
    contexts = np.concatenate([text.contexts for text in losses])
    buckets = []
    for low, high in zip([0, *edges], edges, strict=False):
        inside = nats[(contexts >= low) & (contexts < high)]
        if len(inside):
            buckets.append((high, bootstrap_rate(inside, np.ones(len(inside)), resamples=500)))
    return buckets


def _losses(
    model: Decoder, sequences: Sequence[Sequence[int]], places: Sequence[tuple[int, Window]]
) -> list[Float[np.ndarray, " T"]]:
    """Returns -log p of the predictions that each window scores."""
    device = next(iter(model.parameters())).device
    pieces = [
        torch.tensor(sequences[row][window.start : window.stop + 1]) for row, window in places
    ]
    ids = nn.utils.rnn.pad_sequence(pieces, batch_first=True).to(device)
    # Padding stands on the right, where no token of a decoder looks: no mask is needed.
    vectors = model.hidden(ids[:, :-1])
    is_scored = torch.zeros(vectors.shape[:2], dtype=torch.bool, device=device)
    for line, (_, window) in enumerate(places):
        is_scored[line, window.scored_from - window.start : window.stop - window.start] = True
    # The logits are the largest thing here by far; a few at a time stay in the processor's cache.
    losses = torch.cat(
        [
            nn.functional.cross_entropy(
                model.unembed(some[None])[0].float(), targets, reduction="none"
            )
            for some, targets in zip(
                torch.split(vectors[is_scored], LOGITS_AT_ONCE),
                torch.split(ids[:, 1:][is_scored], LOGITS_AT_ONCE),
                strict=True,
            )
        ]
    )
    counts = [window.stop - window.scored_from for _, window in places]
    return np.split(losses.double().cpu().numpy(), np.cumsum(counts)[:-1])


def _batches(
    places: Sequence[tuple[int, Window]], *, batch_tokens: int
) -> Iterator[Sequence[tuple[int, Window]]]:
    first = 0
    while first < len(places):
        longest = places[first][1].stop - places[first][1].start
        rows = max(1, batch_tokens // longest)
        yield places[first : first + rows]
        first += rows


def _bits_per_byte(losses: Sequence[TokenLosses], *, seed: int) -> Interval:
    if len(losses) >= FEWEST_DOCUMENTS:
        bits = [float(text.nats.sum()) / math.log(2) for text in losses]
        return bootstrap_rate(bits, [float(text.num_bytes) for text in losses], seed=seed)
    blocks = [
        (text.nats[start : start + BLOCK_TOKENS], text.token_sizes[start : start + BLOCK_TOKENS])
        for text in losses
        for start in range(0, len(text.nats), BLOCK_TOKENS)
    ]
    bits = [float(nats.sum()) / math.log(2) for nats, _ in blocks]
    return bootstrap_rate(bits, [float(sizes.sum()) for _, sizes in blocks], seed=seed)


def exponential(nats: float) -> float:
    """Returns e to the power; of a hopeless model the largest number that is easily written."""
    return math.exp(min(nats, 700.0))
