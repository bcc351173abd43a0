"""The next token of rows that each have a sampler, penalties and a form of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from cutaway.errors import CutawayError
from cutaway.inference.request import Alternative
from cutaway.inference.row import Row


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A token and how probable it was."""

    token: int
    logprob: float
    sampled_logprob: float | None = None
    alternatives: tuple[Alternative, ...] = ()


def choose(rows: Sequence[Row], logits: Float[Tensor, "B V"]) -> list[Choice | Exception]:
    """The choice of each row, or why there is none for it; a row that fails disturbs no other."""
    logits = logits.float()
    # Not by logsumexp, which takes two to three times as long.
    own = logits.log_softmax(dim=-1)
    failures: dict[int, Exception] = {}
    is_sound = own.amax(dim=-1).isfinite()
    if not bool(is_sound.all()):
        failures = {row: _not_numbers() for row in (~is_sound).nonzero().flatten().tolist()}
        logits = logits.where(is_sound[:, None], 0.0)
    bent = _bend(rows, logits, failures)
    tokens = _sample(rows, bent, failures)
    logprobs = own.gather(-1, tokens[:, None]).squeeze(-1).tolist()
    chosen: list[Choice | Exception] = [
        Choice(token=token, logprob=logprob)
        for token, logprob in zip(tokens.tolist(), logprobs, strict=True)
    ]
    for place, row in enumerate(rows):
        if row.request.top_logprobs is not None:
            chosen[place] = _told(row, int(tokens[place]), own=own[place], bent=bent[place])
    for place, failure in failures.items():
        chosen[place] = failure
    return chosen


def _bend(
    rows: Sequence[Row], logits: Float[Tensor, "B V"], failures: dict[int, Exception]
) -> Float[Tensor, "B V"]:
    """The logits after each row's penalties and form; new failures are added to the others."""
    bent = logits
    for place, row in enumerate(rows):
        if (row.penalized is None and row.constrained is None) or place in failures:
            continue
        if bent is logits:
            bent = logits.clone()
        try:
            if row.penalized is not None:
                bent[place] = row.penalized.apply(bent[place])
            if row.constrained is not None:
                allowed = row.constrained.allowed().to(bent.device)
                bent[place] = bent[place].where(allowed, -torch.inf)
        except Exception as error:
            # Whatever it is, it is this row's own; the others must go on.
            failures[place] = error
            bent[place] = 0.0
    return bent


def _sample(
    rows: Sequence[Row], logits: Float[Tensor, "B V"], failures: dict[int, Exception]
) -> Tensor:
    """Each row's token; rows with equal samplers are chosen for together, and fail together."""
    uniforms = torch.tensor([row.uniform for row in rows], device=logits.device)
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(repr(row.request.sampler), []).append(place)
    tokens = torch.zeros(len(rows), dtype=torch.int64, device=logits.device)
    for where in places.values():
        sampler = rows[where[0]].request.sampler
        # Rows that are all alike are not copied.
        alone = len(places) == 1
        index = slice(None) if alone else torch.tensor(where, device=logits.device)
        try:
            tokens[index] = sampler.choose(logits[index], uniforms[index])
        except Exception as error:
            # Whatever it is, it is these rows' own; the others must go on.
            failures.update((place, error) for place in where if place not in failures)
    return tokens


def _told(row: Row, token: int, *, own: Float[Tensor, " V"], bent: Float[Tensor, " V"]) -> Choice:
    """A choice with its rivals, before and after all that was done to the logits."""
    sampled = row.request.sampler.distribution(bent[None])[0].log()
    best = own.topk(min(row.request.top_logprobs or 0, len(own)))
    rivals = best.indices
    after = sampled[rivals].tolist()
    alternatives = tuple(
        Alternative(token=rival, logprob=before, sampled_logprob=_or_none(left))
        for rival, before, left in zip(rivals.tolist(), best.values.tolist(), after, strict=True)
    )
    return Choice(
        token=token,
        logprob=float(own[token]),
        sampled_logprob=_or_none(float(sampled[token])),
        alternatives=alternatives,
    )


def _or_none(logprob: float) -> float | None:
    return None if logprob == -torch.inf else logprob


def _not_numbers() -> CutawayError:
    return CutawayError(
        "the model gives logits that are not numbers (NaN), so no token can be chosen:\n"
        "its weights are damaged or its training diverged; use an earlier checkpoint"
    )
