"""The plain loop: it appends the chosen token until a stop token or the end of the room."""

import math
from types import SimpleNamespace

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cutaway.errors import UsageError
from cutaway.inference.generate import Completion, generate, most_tokens, resting
from cutaway.inference.sampling import Greedy, Temperature
from cutaway.nn.cache import KeyValueCache


class Counting(nn.Module):
    """After token n comes n + 1, with probability 3/4 or so; the others are equally probable."""

    config = SimpleNamespace(vocab_size=10, context_length=8, num_layers=0)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.3))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits that prefer the following number."""
        return nn.functional.one_hot((tokens + 1) % 10, 10) * self.weight

    def hidden(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
        """Not needed here."""
        raise NotImplementedError

    def unembed(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T V"]:
        """Not needed here."""
        raise NotImplementedError

    def new_cache(self, rows: int, length: int) -> KeyValueCache:
        """Not needed here."""
        raise NotImplementedError


def test_tokens_are_appended_until_the_stop_token_which_is_kept() -> None:
    completion = generate(Counting(), [3], sampler=Greedy(), max_tokens=5, stop_ids={6})
    assert completion.ids == [4, 5, 6]
    assert completion.finish_reason == "stop"
    assert completion.text_ids == [4, 5]


def test_generation_ends_at_max_tokens() -> None:
    completion = generate(Counting(), [3], sampler=Greedy(), max_tokens=2)
    assert completion.ids == completion.text_ids == [4, 5]
    assert completion.finish_reason == "length"


def test_prompt_and_answer_together_fit_the_context() -> None:
    completion = generate(Counting(), [1, 2, 3], sampler=Greedy(), max_tokens=99)
    assert completion.ids == [4, 5, 6, 7, 8]
    assert completion.finish_reason == "length"


def test_logprobs_are_the_models_own() -> None:
    completion = generate(Counting(), [3], sampler=Temperature(0.01), max_tokens=2)
    expected = 3.3 - math.log(math.exp(3.3) + 9)
    assert completion.logprobs == pytest.approx([expected] * 2)


def test_the_same_seed_writes_the_same_text() -> None:
    texts = [
        generate(
            Counting(),
            [3],
            sampler=Temperature(2.0),
            max_tokens=6,
            generator=torch.Generator().manual_seed(seed),
        )
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_model_in_training_rests_and_then_trains_on() -> None:
    model = Counting().train()
    with resting(model):
        assert not model.training
    assert model.training


@pytest.mark.parametrize(
    ("length", "max_tokens", "told"),
    [
        (0, 5, "the prompt is empty"),
        (8, 5, r"the prompt has 8 tokens, .* reads 8 at once,\n.* at least 1 tokens"),
        (3, 0, "max_tokens is 0"),
    ],
)
def test_a_prompt_without_room_is_told(length: int, max_tokens: int, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        most_tokens(length, max_tokens=max_tokens, context_length=8)


def test_a_completion_that_ended_by_length_has_only_text() -> None:
    completion = Completion(ids=[1, 2], logprobs=[-1.0, -1.0], finish_reason="length")
    assert completion.text_ids == [1, 2]
