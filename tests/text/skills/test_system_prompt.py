"""Laws of obeying a system prompt."""

from cutaway.text.skills.base import question, reference
from cutaway.text.skills.system_prompt import SystemPrompt

EXAMPLES = 1000


def test_every_example_has_a_system_prompt() -> None:
    for example in SystemPrompt().examples("train", seed=0, count=EXAMPLES):
        assert example.conversation.messages[0].role == "system"


def test_held_out_system_prompts_are_never_trained() -> None:
    train, validation = (
        {
            one.conversation.messages[0].content
            for one in SystemPrompt().examples(split, seed=0, count=EXAMPLES)
        }
        for split in ("train", "validation")
    )
    assert train.isdisjoint(validation)


def test_a_refusal_is_what_the_prompt_says() -> None:
    refused = [
        one
        for one in SystemPrompt().examples("train", seed=0, count=EXAMPLES)
        if reference(one).startswith("I only")
    ]
    assert refused
    for example in refused:
        assert reference(example) in example.conversation.messages[0].content
        assert not question(example).startswith(("The word is", "The date is", "The name is"))


def test_each_step_writes_one_line() -> None:
    for example in SystemPrompt().examples("train", seed=0, count=EXAMPLES):
        system = example.conversation.messages[0].content
        if system.startswith("The user gives a word") and "say" not in system.lower():
            steps = system.split(", then ")
            extra = ("Begin with" in system) + 2 * ("Begin and end" in system)
            assert len(reference(example).splitlines()) == len(steps) + extra


def test_a_saying_that_is_left_out_is_an_error() -> None:
    examples = SystemPrompt().examples("validation", seed=0, count=EXAMPLES)
    example = next(one for one in examples if reference(one).endswith("\nAmen."))
    without = reference(example).removesuffix("\nAmen.")
    assert SystemPrompt().score(example, without).errors == 1
