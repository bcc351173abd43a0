"""What was taught before is not forgotten while something else is learned."""

import pytest

from cutaway.alignment.choices import DPOConfig, RememberingConfig
from cutaway.alignment.dpo import DPO, WrittenPair
from cutaway.alignment.remembering import Remembering, old_answers
from cutaway.alignment.sequences import Written, logprob_sums
from cutaway.errors import ConfigError
from cutaway.text.conversations import Conversation, Message
from cutaway.text.skills.base import Example
from cutaway.tokenizer.chat import ChatFormat
from tests.alignment.toys import LETTERS, toy_model, toy_state

OLD = [Written(prompt=(place, place), answer=(5, 6, place)) for place in range(4)]
NEW = [
    WrittenPair(
        chosen=Written(prompt=(place, 7), answer=(0, 0)),
        rejected=Written(prompt=(place, 7), answer=(5, 6)),
    )
    for place in range(4)
]


def learned(remembering: Remembering | None) -> float:
    """The log-probability of the old answers after learning of new ones."""
    model = toy_model()
    learner = DPO(
        DPOConfig(pairs=4), pairs=NEW, reference=toy_model(), seed=0, remembering=remembering
    )
    state = toy_state(model, steps=15)
    for _ in range(15):
        learner.take(state, 1.0)
        state.step += 1
    return float(logprob_sums(model, OLD).mean())


def test_old_answers_stay_likelier_where_they_are_learned_on() -> None:
    before = float(logprob_sums(toy_model(), OLD).mean())
    config = RememberingConfig(rows=2)
    assert learned(Remembering(config, OLD, seed=1)) > before > learned(None)


def test_what_is_remembered_depends_on_the_step_and_the_turn_alone() -> None:
    state = toy_state(toy_model(), steps=3)
    found = []
    for seed in (1, 1, 2):
        remembering = Remembering(RememberingConfig(rows=1), OLD, seed=seed)
        found.append([float(remembering.loss(state, turn=turn).detach()) for turn in range(8)])
    assert found[0] == found[1] != found[2]
    assert len(set(found[0])) > 1


def test_an_old_answer_that_the_model_cannot_read_is_left_out() -> None:
    def example(answer: str) -> Example:
        said = (Message(role="user", content="abc"), Message(role="assistant", content=answer))
        return Example(conversation=Conversation(messages=said), key="abc")

    examples = [example("a"), example("a" * 30)]
    (kept,) = old_answers(examples, ChatFormat(LETTERS), longest=24)
    assert LETTERS.decode(kept.answer) == "a"
    assert LETTERS.decode(kept.prompt) == "abc"


def test_less_than_no_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="rows=-1"):
        RememberingConfig(rows=-1)
