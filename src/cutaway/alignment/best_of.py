"""Best-of-n: of several answers to a prompt the one of greatest reward (Stiennon et al. 2020, 4.3).

Chosen when it is asked, it costs n answers; learned from, it costs as much once (Touvron et al.
2023b, section 3.2.3, rejection sampling).
"""

import math
from collections.abc import Sequence

import torch

from cutaway.alignment.choices import BestOfConfig
from cutaway.alignment.ppo import rollout_metrics
from cutaway.alignment.rewards import Prompt, Scorer
from cutaway.alignment.rollout import Roller, Scored, row_seeds
from cutaway.alignment.rounds import Rounds
from cutaway.alignment.sequences import read_answers, rows_of
from cutaway.training.loop import Taken
from cutaway.training.state import TrainingState


class BestOf:
    """Learns, by likelihood, the best of the answers that the policy draws."""

    def __init__(self, config: BestOfConfig, rounds: Rounds) -> None:
        self.config, self.rounds = config, rounds

    def take(self, state: TrainingState, factor: float) -> Taken:
        """Makes one step: answers, the best of each group, their likelihood."""
        config = self.config
        rollout = self.rounds.roll_out(state.step, prompts=config.prompts, answers=config.answers)
        found = self.rounds.score(rollout)
        best = best_places(found, answers=config.answers)
        passes = self.rounds.passes(state, factor)
        if best:
            rows = rows_of([rollout.written[place] for place in best])
            now = read_answers(state.model, rows.to(found.rows.tokens.device))
            passes.step(-now.logprobs.sum() / rows.loss_mask.sum())
        metrics = {
            **rollout_metrics(found),
            "groups_with_advantage": len(best) / config.prompts,
        }
        return passes.taken(found.rows, metrics=metrics)


def best_places(found: Scored, *, answers: int) -> list[int]:
    """Returns which answer of each group is best; of a group without any difference, none."""
    rewards = torch.where(found.is_scored, found.rewards, -torch.inf).view(-1, answers)
    worst = torch.where(found.is_scored, found.rewards, torch.inf).view(-1, answers).amin(dim=1)
    value, place = rewards.max(dim=1)
    return [
        group * answers + int(place[group])
        for group in range(len(rewards))
        if float(value[group]) > float(worst[group])
    ]


def kl_bound(answers: int) -> float:
    """Returns the most nats by which choosing the best of n leaves the policy (Stiennon 2020)."""
    return math.log(answers) - (answers - 1) / answers


def choose_best(
    roller: Roller, prompts: Sequence[Prompt], *, answers: int, seed: int, scorer: Scorer
) -> list[str]:
    """Returns the best of n answers to each prompt; the first where none has a reward."""
    repeated = [prompt for prompt in prompts for _ in range(answers)]
    rollout = roller.roll_out(
        repeated,
        seeds=row_seeds(seed, 0, count=len(repeated)),
    )
    scores = scorer.score(rollout.exchanges)
    chosen = []
    for start in range(0, len(repeated), answers):
        group = range(start, start + answers)
        best = max(
            group, key=lambda place: scores.values[place] if scores.is_scored[place] else -math.inf
        )
        chosen.append(rollout.exchanges[best].answer)
    return chosen
