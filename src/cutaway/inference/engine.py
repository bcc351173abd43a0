"""Many prompts at once: batched, cached, and equal to the plain loop on each prompt alone."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cutaway.errors import UsageError
from cutaway.inference.generate import Completion, most_tokens, resting
from cutaway.inference.sampling import Sampler, draw_uniforms
from cutaway.models.decoder import Decoder
from cutaway.nn.cache import KeyValueCache
from cutaway.tokenizer.base import Tokenizer

FULL_ENOUGH = 0.75
"""A batch is packed when less than this share of its rows still runs: packing copies the cache."""


@dataclass(frozen=True, kw_only=True)
class _Request:
    place: int
    prompt: list[int]
    room: int
    seed: int

    @property
    def length(self) -> int:
        return len(self.prompt) + self.room


class Engine:
    """Generates with one model; what chat, rollouts, evaluation and the server use.

    A row's text depends on its prompt, its seed and the sampler, never on its neighbours.
    """

    def __init__(
        self,
        model: Decoder,
        tokenizer: Tokenizer,
        *,
        max_rows: int = 256,
        cache_bytes: int = 2**29,
    ) -> None:
        """`max_rows` and `cache_bytes` bound how many prompts run at once."""
        self.model = model
        self.tokenizer = tokenizer
        self.stop_ids = tokenizer.customs.stop_ids
        # A vocabulary may be padded to a round number; its padding is no token.
        self._vocabulary = tokenizer.vocab_size
        if tokenizer.vocab_size > model.config.vocab_size:
            raise UsageError(
                f"the tokenizer has {tokenizer.vocab_size} tokens, but the model knows "
                f"{model.config.vocab_size};\nopen the model with the tokenizer it was trained with"
            )
        self._max_rows = max_rows
        slot = model.new_cache(1, 1)
        self._slots = cache_bytes // sum(part.nbytes for part in (*slot.keys, *slot.values))

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        sampler: Sampler,
        max_tokens: int | Sequence[int],
        seeds: Sequence[int] | None = None,
        stop_ids: Collection[int] | None = None,
    ) -> list[Completion]:
        """Continues every prompt; the completions come in the order of the prompts.

        `max_tokens` and `seeds` may differ from prompt to prompt (None: the seeds 0, 1, 2, ...);
        `stop_ids` is the end of a message and the end of a text unless given.

        Raises:
            UsageError: a prompt is empty, fills the context, or names a token that does not exist.
        """
        limits = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else max_tokens
        seeds = range(len(prompts)) if seeds is None else seeds
        requests = [
            self._request(place, prompt=list(prompt), max_tokens=limit, seed=seed)
            for place, (prompt, limit, seed) in enumerate(zip(prompts, limits, seeds, strict=True))
        ]
        stops = self._stop_table(stop_ids)
        done: dict[int, Completion] = {}
        with resting(self.model):
            for batch in self._batches(requests):
                run = _Batch(self.model, batch, vocabulary=self._vocabulary)
                completions = run.finish(sampler=sampler, stops=stops)
                done |= {row.place: text for row, text in zip(batch, completions, strict=True)}
        return [done[place] for place in range(len(prompts))]

    def stream(
        self,
        prompt: Sequence[int],
        *,
        sampler: Sampler,
        max_tokens: int,
        seed: int = 0,
        stop_ids: Collection[int] | None = None,
    ) -> Iterator[int]:
        """Continues one prompt and yields each token as it is chosen, but for the one that stops.

        Raises:
            UsageError: the prompt is empty, fills the context, or names an unknown token.
        """
        request = self._request(0, prompt=list(prompt), max_tokens=max_tokens, seed=seed)
        stops = self._stop_table(stop_ids)
        # Checked above, at the call and not at the first token.
        return self._stream(request, sampler=sampler, stops=stops)

    def _stream(
        self, request: _Request, *, sampler: Sampler, stops: Bool[Tensor, " V"]
    ) -> Iterator[int]:
        with resting(self.model):
            run = _Batch(self.model, [request], vocabulary=self._vocabulary)
            while run.step(sampler=sampler, stops=stops):
                yield run.newest()
            if not bool(stops[run.newest()]):
                yield run.newest()

    def _request(self, place: int, *, prompt: list[int], max_tokens: int, seed: int) -> _Request:
        config = self.model.config
        room = most_tokens(len(prompt), max_tokens=max_tokens, context_length=config.context_length)
        if min(prompt) < 0 or max(prompt) >= config.vocab_size:
            wrong = next(id for id in prompt if not 0 <= id < config.vocab_size)
            raise UsageError(
                f"the prompt has token {wrong}, but this model knows the tokens 0 to "
                f"{config.vocab_size - 1};\nencode the prompt with the model's own tokenizer"
            )
        return _Request(place=place, prompt=prompt, room=room, seed=seed)

    def _stop_table(self, stop_ids: Collection[int] | None) -> Bool[Tensor, " V"]:
        table = torch.zeros(self.model.config.vocab_size, dtype=torch.bool)
        table[list(self.stop_ids if stop_ids is None else stop_ids)] = True
        return table.to(next(iter(self.model.parameters())).device)

    def _batches(self, requests: list[_Request]) -> Iterator[list[_Request]]:
        """Rows of like length together, the longest first, within the bounds of rows and slots."""
        batch: list[_Request] = []
        longest = 0
        for request in sorted(requests, key=lambda row: (-len(row.prompt), -row.room)):
            widened = max(longest, request.length)
            if batch and (len(batch) == self._max_rows or widened * (len(batch) + 1) > self._slots):
                yield batch
                batch, widened = [], request.length
            batch.append(request)
            longest = widened
        if batch:
            yield batch


class _Batch:
    """Rows that are generated together; a row that has ended leaves, and its slots with it."""

    def __init__(self, model: Decoder, requests: list[_Request], *, vocabulary: int) -> None:
        self._model = model
        self._vocabulary = vocabulary
        device = next(iter(model.parameters())).device
        rows, most = len(requests), max(request.room for request in requests)
        numbers = [
            draw_uniforms(request.room, torch.Generator().manual_seed(request.seed))
            for request in requests
        ]
        padded = torch.nn.utils.rnn.pad_sequence(numbers, batch_first=True)
        self._uniforms = padded.to(device)  # (B, most)
        self._chosen = torch.zeros(rows, most, dtype=torch.int64, device=device)
        self._logprobs = torch.zeros(rows, most, device=device)
        self._counts = torch.zeros(rows, dtype=torch.int64, device=device)
        self._room = torch.tensor([request.room for request in requests], device=device)
        self._rows = torch.arange(rows, device=device)  # the request that each cache row belongs to
        self._running = torch.ones(rows, dtype=torch.bool, device=device)
        self._last = torch.tensor([request.prompt[-1] for request in requests], device=device)
        self._steps = 0
        self._cache = self._read(
            [request.prompt[:-1] for request in requests],
            length=max(request.length for request in requests),
        )

    @torch.inference_mode()
    def _read(self, prompts: list[list[int]], *, length: int) -> KeyValueCache:
        """Fills the cache with all but the last token of each prompt: a step begins with that."""
        cache = self._model.new_cache(len(prompts), length)
        counts = [len(prompt) for prompt in prompts]
        if max(counts) > 0:
            tokens = torch.nn.utils.rnn.pad_sequence(
                [torch.tensor(prompt, dtype=torch.int64) for prompt in prompts], batch_first=True
            ).to(self._last.device)
            if min(counts) == max(counts):
                documents = None
            else:
                ends = torch.tensor(counts, device=tokens.device)[:, None]
                documents = (torch.arange(tokens.shape[1], device=tokens.device) < ends).long()
            self._model.hidden(tokens, documents=documents, cache=cache)
        return cache

    def finish(self, *, sampler: Sampler, stops: Bool[Tensor, " V"]) -> list[Completion]:
        """Steps until every row has ended."""
        while self.step(sampler=sampler, stops=stops):
            pass
        counts = self._counts.tolist()
        ids, logprobs = self._chosen.tolist(), self._logprobs.tolist()
        is_stop = stops.tolist()
        return [
            Completion(
                ids=ids[row][:count],
                logprobs=logprobs[row][:count],
                finish_reason="stop" if is_stop[ids[row][count - 1]] else "length",
            )
            for row, count in enumerate(counts)
        ]

    @torch.inference_mode()
    def step(self, *, sampler: Sampler, stops: Bool[Tensor, " V"]) -> bool:
        """Adds a token to every row that runs, and says whether any row still does."""
        rows, now = self._rows, self._steps
        logits = self._model(self._last[:, None], cache=self._cache)[:, -1, : self._vocabulary]
        self._last = sampler.choose(logits, self._uniforms[rows, now])
        self._chosen[rows, now] = self._last
        self._logprobs[rows, now] = _logprobs(logits, self._last)
        self._counts[rows] += self._running
        self._steps = now + 1
        self._running &= ~stops[self._last] & (self._room[rows] > self._steps)
        left = int(self._running.sum())
        if left and (
            left < FULL_ENOUGH * len(rows)
            or (left < len(rows) and self._cache.longest == self._cache.capacity)
        ):
            self._pack()
        return left > 0

    def newest(self) -> int:
        """The token that the first row was given last."""
        return int(self._last[0])

    def _pack(self) -> None:
        stay = self._running.nonzero().squeeze(-1)
        self._cache.keep(stay)
        self._rows, self._last = self._rows[stay], self._last[stay]
        self._running = self._running[stay]


def _logprobs(logits: Float[Tensor, "B V"], ids: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    logits = logits.float()
    return logits.gather(-1, ids[:, None]).squeeze(-1) - logits.logsumexp(dim=-1)
