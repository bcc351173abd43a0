"""Beam search (Wu et al. 2016, section 7; Graves 2012): the best of many targets, for many sources.

All beams of all sources are one batch, with a cache; the beams of a source share its memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cutaway.errors import ConfigError, UsageError
from cutaway.inference.generate import resting
from cutaway.models.encoder_decoder import EncoderDecoder

MOST_SOURCES = 64
"""Sources whose targets are searched for at once."""

GROUP = 64
"""Logits of which the greatest is looked for first."""


@runtime_checkable
class Likeliest(Protocol):
    """What finds the likeliest tokens: `likeliest`, or a faster form of it."""

    def __call__(
        self, logits: Float[Tensor, "R V"], *, count: int
    ) -> tuple[Float[Tensor, "R N"], Int[Tensor, "R N"]]:
        """The log-probabilities of each row's likeliest tokens, best first, and the tokens."""


def likeliest(
    logits: Float[Tensor, "R V"], *, count: int
) -> tuple[Float[Tensor, "R N"], Int[Tensor, "R N"]]:
    """Returns the log-probabilities of each row's likeliest tokens, best first, and the tokens."""
    return greatest(logits.float().log_softmax(dim=1), count=count)


def greatest(
    numbers: Float[Tensor, "R V"], *, count: int
) -> tuple[Float[Tensor, "R N"], Int[Tensor, "R N"]]:
    """Returns what `topk` does, from fewer numbers: the greatest of each group come first.

    As many numbers as are wanted lie in as many groups, those with the greatest maxima.
    """
    groups = numbers.shape[1] // GROUP
    if groups <= count:
        best, places = numbers.topk(count, dim=1)
        return best, places
    grouped = numbers[:, : groups * GROUP].view(len(numbers), groups, GROUP)
    chosen = grouped.amax(dim=2).topk(count, dim=1).indices[..., None]
    places = chosen * GROUP + torch.arange(GROUP, device=numbers.device)
    rest = torch.arange(groups * GROUP, numbers.shape[1], device=numbers.device)
    places = torch.cat([places.flatten(1), rest.expand(len(numbers), -1)], dim=1)
    best, found = numbers.gather(1, places).topk(count, dim=1)
    return best, places.gather(1, found)


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """How wide the search is, and how targets of unequal length are compared."""

    beams: int = 4
    """Unfinished targets that are kept for each source; 1 takes the likeliest token always."""
    length_penalty: float = 0.6
    """Exponent by which longer targets are favoured (alpha of equation 14); 0: not at all."""
    max_tokens: int = 200
    """The most tokens of a target, the one that ends it included."""
    ending: Literal["likely", "sure"] = "likely"
    """likely: ends when no beam would win if it ended now; sure: when none can win any more."""

    def __post_init__(self) -> None:
        if self.beams < 1 or self.max_tokens < 1:
            raise ConfigError(
                f"beams={self.beams} and max_tokens={self.max_tokens}: give 1 or more of each"
            )
        if self.length_penalty < 0:
            raise ConfigError(f"length_penalty={self.length_penalty} is negative; give 0 or more")

    def penalty(self, length: int) -> float:
        """What the log-probability of a target of this length is divided by (equation 14)."""
        return ((5 + length) / 6) ** self.length_penalty


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A target that was found."""

    ids: list[int]
    """Its tokens, without the one that ends it."""
    logprob: float
    """Logarithm (nats) of its probability, its end included."""
    score: float
    """The same over the length penalty: what the best is chosen by."""
    is_finished: bool
    """Whether the model ended it; else it was cut at the most tokens."""


def best_targets(
    model: EncoderDecoder,
    sources: Sequence[Sequence[int]],
    *,
    search: BeamSearch,
    begin_id: int,
    end_id: int,
    choose: Likeliest = likeliest,
) -> list[Hypothesis]:
    """Finds the best target of each of any number of sources, those of like length together.

    Raises:
        UsageError: A source is empty or longer than the model can read.
    """
    _check(model, sources)
    order = sorted(range(len(sources)), key=lambda place: len(sources[place]))
    best: dict[int, Hypothesis] = {}
    for start in range(0, len(order), MOST_SOURCES):
        places = order[start : start + MOST_SOURCES]
        found = beam_search(
            model,
            [sources[place] for place in places],
            search=search,
            begin_id=begin_id,
            end_id=end_id,
            choose=choose,
        )
        best |= {place: each[0] for place, each in zip(places, found, strict=True)}
    return [best[place] for place in range(len(sources))]


@torch.inference_mode()
def beam_search(
    model: EncoderDecoder,
    sources: Sequence[Sequence[int]],
    *,
    search: BeamSearch,
    begin_id: int,
    end_id: int,
    choose: Likeliest = likeliest,
) -> list[list[Hypothesis]]:
    """Finds the best targets of each source, at most as many as there are beams, best first.

    Raises:
        UsageError: A source is empty or longer than the model can read.
    """
    _check(model, sources)
    if not sources:
        return []
    with resting(model):
        device = next(iter(model.parameters())).device
        tokens, documents = _padded(sources, device=device)
        memory = model.encode(tokens, documents=documents)
        most = min(search.max_tokens, model.config.context_length)
        rows = len(sources) * search.beams
        written = torch.full((rows, 1), begin_id, device=device)
        beams = _Beams(written, search=search, most=most, end_id=end_id, choose=choose)
        cache = model.new_cache(rows, most)
        while True:
            hidden = model.hidden(beams.written[:, -1:], memory, cache=cache)
            step = beams.extend(model.unembed(hidden)[:, -1])
            if not beams.live:
                return beams.results()
            if step.sources is not None:
                memory = memory.keep(step.sources)
            if step.has_moved:
                cache.keep(step.rows, sources=step.sources)


@dataclass(frozen=True, kw_only=True)
class _Step:
    rows: Int[Tensor, " R"]
    """Which row each row goes on from."""
    has_moved: bool
    """Whether any row goes on from another one than itself."""
    sources: Int[Tensor, " M"] | None
    """The sources that are not done, where some are; None: all go on."""


class _Beams:
    """The unfinished targets of each source that is not done, and the finished ones of all."""

    def __init__(
        self,
        written: Int[Tensor, "R 1"],
        *,
        search: BeamSearch,
        most: int,
        end_id: int,
        choose: Likeliest,
    ) -> None:
        self._search, self._most, self._end_id, self._choose = search, most, end_id, choose
        self.written = written
        """What each beam has written, the id that begins a text first."""
        sources = len(written) // search.beams
        self.live = list(range(sources))
        """The sources that are not done."""
        self._finished: list[list[Hypothesis]] = [[] for _ in range(sources)]
        self._best = torch.full((sources,), -torch.inf, device=written.device)
        # All beams are alike at first: only one of them counts.
        self._logprobs = torch.full((sources, search.beams), -torch.inf, device=written.device)
        self._logprobs[:, 0] = 0.0

    def extend(self, logits: Float[Tensor, "R V"]) -> _Step:
        """Goes on with the best continuations; those that end, and sources that are done, leave."""
        beams = self._search.beams
        # Twice as many: even if every beam could end, as many as there are beams go on.
        most = min(2 * beams, logits.shape[1])
        logprobs, tokens = self._choose(logits, count=most)
        totals = (self._logprobs.view(-1, 1) + logprobs).view(len(self.live), -1)
        best, places = totals.topk(min(2 * beams, totals.shape[1]), dim=1)
        parent, token = places // most, tokens.view(totals.shape).gather(1, places)
        ends = token == self._end_id
        self._set_aside(best, parent, ends=ends & best.isfinite())
        self._logprobs, order = torch.where(ends, -torch.inf, best).topk(beams, dim=1)
        first_row = torch.arange(len(self.live), device=best.device)[:, None] * beams
        rows = (first_row + parent.gather(1, order)).flatten()
        new = token.gather(1, order).flatten()
        done = self._done()
        kept: Int[Tensor, " M"] | None = None
        if bool(done.any()):
            kept = (~done).nonzero()[:, 0]
            self._leave(done, rows, new)
            chosen = (kept[:, None] * beams + torch.arange(beams, device=kept.device)).flatten()
            rows, new = rows[chosen], new[chosen]
            self._logprobs, self._best = self._logprobs[kept], self._best[kept]
            self.live = [self.live[place] for place in kept.tolist()]
        same = kept is None and rows.equal(torch.arange(len(rows), device=rows.device))
        self.written = torch.cat([self.written[rows], new[:, None]], dim=1)
        return _Step(rows=rows, has_moved=not same, sources=kept)

    def results(self) -> list[list[Hypothesis]]:
        """Returns the finished targets of each source, best first."""
        return [
            sorted(found, key=lambda one: -one.score)[: self._search.beams]
            for found in self._finished
        ]

    def _set_aside(
        self,
        totals: Float[Tensor, "M N"],
        parent: Int[Tensor, "M N"],
        *,
        ends: Bool[Tensor, "M N"],
    ) -> None:
        """Keeps what ended among the best; what ended below them has better ones beside it."""
        beams = self._search.beams
        among_best = torch.arange(ends.shape[1], device=ends.device) < beams
        for place, rank in (ends & among_best).nonzero().tolist():
            row = place * beams + int(parent[place, rank])
            one = self._hypothesis(
                self.written[row, 1:].tolist(), float(totals[place, rank]), is_finished=True
            )
            self._finished[self.live[place]].append(one)
            self._best[place] = max(float(self._best[place]), one.score)

    def _done(self) -> Bool[Tensor, " M"]:
        """Says which sources no beam of theirs can win any more, or have no room left."""
        length = self.written.shape[1]  # tokens of each beam, now that one was added
        if length >= self._most:
            return torch.ones(len(self.live), dtype=torch.bool, device=self._best.device)
        ended = self._most if self._search.ending == "sure" else length + 1
        return self._best >= self._logprobs[:, 0] / self._search.penalty(ended)

    def _leave(
        self, done: Bool[Tensor, " M"], rows: Int[Tensor, " R"], new: Int[Tensor, " R"]
    ) -> None:
        """Gives sources that are done without a finished target the best unfinished one."""
        for place in done.nonzero()[:, 0].tolist():
            found = self._finished[self.live[place]]
            if not found:
                row = place * self._search.beams
                ids = [*self.written[rows[row], 1:].tolist(), int(new[row])]
                total = float(self._logprobs[place, 0])
                found.append(self._hypothesis(ids, total, is_finished=False))

    def _hypothesis(self, ids: list[int], logprob: float, *, is_finished: bool) -> Hypothesis:
        length = len(ids) + is_finished
        score = logprob / self._search.penalty(length)
        return Hypothesis(ids=ids, logprob=logprob, score=score, is_finished=is_finished)


def _check(model: EncoderDecoder, sources: Sequence[Sequence[int]]) -> None:
    longest = model.config.context_length
    for source in sources:
        if not 0 < len(source) <= longest:
            raise UsageError(
                f"a source has {len(source)} tokens; this model reads 1 to {longest} at once\n"
                "Shorten it, or cut it into sentences."
            )


def _padded(
    sources: Sequence[Sequence[int]], *, device: torch.device
) -> tuple[Int[Tensor, "M S"], Int[Tensor, "M S"] | None]:
    """Puts the sources into rows, and says where there is padding, if there is some."""
    lengths = torch.tensor([len(source) for source in sources])
    longest = int(lengths.max())
    tokens = torch.zeros(len(sources), longest, dtype=torch.int64)
    for row, source in enumerate(sources):
        tokens[row, : len(source)] = torch.tensor(source)
    documents = (torch.arange(longest) < lengths[:, None]).long()
    if int(lengths.min()) == longest:
        return tokens.to(device), None
    return tokens.to(device), documents.to(device)
