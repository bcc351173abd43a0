"""Old questions with their right answers, learned beside what is new so that they are not forgotten
(Ouyang et al. 2022, equation 2, which mixes pretraining's gradients into PPO's).
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from cutaway.alignment.choices import RememberingConfig
from cutaway.alignment.rewards import Exchange
from cutaway.alignment.sequences import Written, read_answers, rows_of, written_by
from cutaway.data.order import derived_seed, shuffled_places
from cutaway.text.skills.base import Example
from cutaway.tokenizer.chat import ChatFormat
from cutaway.training.state import TrainingState

TURNS = 64
"""Optimizer steps of one step of a run that see rows of their own."""


class Remembering:
    """Gives each optimizer step some old answers, in a shuffled order that needs no memory."""

    def __init__(self, config: RememberingConfig, answers: Sequence[Written], *, seed: int) -> None:
        self.weight, self.answers = config.weight, tuple(answers)
        self._rows, self._seed = config.rows, derived_seed(seed, "remembering")

    def loss(self, state: TrainingState, *, turn: int) -> Float[Tensor, ""]:
        """Returns the mean surprise at the old answers' tokens, in nats."""
        places = shuffled_places(
            state.step * TURNS + turn % TURNS,
            count=self._rows,
            size=len(self.answers),
            seed=self._seed,
        )
        rows = rows_of([self.answers[place] for place in places])
        rows = rows.to(next(state.model.parameters()).device)
        return -read_answers(state.model, rows).logprobs.sum() / rows.loss_mask.sum()


def old_answers(examples: Sequence[Example], chat: ChatFormat, *, longest: int) -> list[Written]:
    """Returns examples as prompts with answers, those left out that the model cannot read."""
    written = []
    for example in examples:
        *prompt, answer = example.conversation.messages
        written.append(written_by(chat, Exchange(prompt=tuple(prompt), answer=answer.content)))
    return [one for one in written if len(one.prompt) + len(one.answer) <= longest]
