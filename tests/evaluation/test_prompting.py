"""Each form of prompt writes the text and the conversation that it promises."""

import pytest

from cutaway.evaluation.prompting import FewShot, StepByStep, SystemPrompt, ZeroShot
from cutaway.text.conversations import Conversation, Message


def talk(*contents: str, system: str | None = None) -> Conversation:
    roles = ["user", "assistant"] * len(contents)
    spoken = tuple(
        Message(role=role, content=text) for role, text in zip(roles, contents, strict=False)
    )
    first = (Message(role="system", content=system),) if system else ()
    return Conversation(messages=first + spoken)


SHOTS = [talk("1 + 1", "2"), talk("2 + 3", "5")]


def test_zero_shot_is_the_question_and_an_open_answer():
    assert ZeroShot().text(talk("1 + 2")) == "Question: 1 + 2\nAnswer:"
    assert ZeroShot().conversation(talk("1 + 2")) == talk("1 + 2")


def test_few_shot_shows_answered_questions_first():
    form = FewShot(count=2)
    assert form.text(talk("1 + 2"), examples=SHOTS) == (
        "Question: 1 + 1\nAnswer: 2\n\nQuestion: 2 + 3\nAnswer: 5\n\nQuestion: 1 + 2\nAnswer:"
    )
    assert form.conversation(talk("1 + 2"), examples=SHOTS) == talk(
        "1 + 1", "2", "2 + 3", "5", "1 + 2"
    )


def test_instructions_stay_before_the_examples():
    asked = talk("1 + 2", system="Be brief.")
    assert FewShot(count=1).conversation(asked, examples=SHOTS[:1]) == talk(
        "1 + 1", "2", "1 + 2", system="Be brief."
    )
    assert ZeroShot().text(asked) == "Be brief.\nQuestion: 1 + 2\nAnswer:"


def test_a_system_prompt_replaces_the_one_that_is_there():
    form = SystemPrompt(instructions="Add.")
    assert form.conversation(talk("1 + 2", system="Multiply.")) == talk("1 + 2", system="Add.")
    assert form.text(talk("1 + 2")) == "Add.\nQuestion: 1 + 2\nAnswer:"


def test_step_by_step_asks_for_the_steps():
    form = StepByStep()
    assert form.text(talk("1 + 2")).endswith("\nAnswer: Let us think step by step.")
    assert form.conversation(talk("1 + 2")) == talk("1 + 2\nLet us think step by step.")


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("1 + 2 = 3\nThe answer is 3.", "3"),
        ("The answer is: 12\nGoodbye", "12"),
        ("1 + 2 = 3\n3", "3"),
        ("", ""),
        ("the answer is", ""),
    ],
)
def test_the_answer_of_many_steps_stands_at_their_end(written, answer):
    assert StepByStep().answer_in(written) == answer


def test_every_form_has_a_name_of_its_own():
    forms = [ZeroShot(), FewShot(count=1), FewShot(count=4), SystemPrompt(instructions="x")]
    assert len({form.name for form in [*forms, StepByStep()]}) == 5


def test_a_few_shot_prompt_needs_a_shot():
    with pytest.raises(ValueError, match="at least 1"):
        FewShot(count=0)
