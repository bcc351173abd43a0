"""Low-rank adapters: no change at first, learning alone, merging into the same function."""

import pytest
import torch
from torch import Tensor, nn

from cutaway.errors import ConfigError
from cutaway.nn.lora import LoRALinear, adapters, apply_lora, lora_parameters, merge_lora


def seeded(seed: int = 0) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


class Tied(nn.Module):
    """Two maps and an unembedding that is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 6)
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 6, bias=False)
        self.unembedding = nn.Linear(6, 7, bias=False)
        self.unembedding.weight = self.embedding.weight
        for weight in self.parameters():
            nn.init.normal_(weight, generator=seeded(1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        return self.unembedding(self.second(self.first(self.embedding(tokens)).relu()))


TOKENS = torch.arange(7)


def adapted(*, targets: tuple[str, ...] = ("first", "second"), dropout: float = 0.0) -> Tied:
    """A model with adapters whose B is not zero any more."""
    model = Tied()
    apply_lora(model, targets=targets, rank=2, alpha=8.0, dropout=dropout, generator=seeded(2))
    for _, part in adapters(model):
        nn.init.normal_(part.lora_b, generator=seeded(3))
    return model


def test_a_fresh_adapter_changes_nothing() -> None:
    model = Tied()
    before = model(TOKENS)
    apply_lora(model, targets=["*irst", "second"], rank=2, alpha=4.0)
    assert model(TOKENS).equal(before)


def test_an_adapter_adds_the_scaled_product_of_its_two_matrices() -> None:
    base = nn.Linear(5, 4)
    layer = LoRALinear(base, rank=2, alpha=6.0, generator=seeded())
    nn.init.normal_(layer.lora_b, generator=seeded(1))
    x = torch.randn(3, 5, generator=seeded(2))
    expected = base(x) + 3.0 * x @ layer.lora_a.T @ layer.lora_b.T
    torch.testing.assert_close(layer(x), expected)


def test_merging_keeps_the_function_and_takes_the_adapters_out() -> None:
    model = adapted()
    before = model(TOKENS)
    assert merge_lora(model) == ["first", "second"]
    torch.testing.assert_close(model(TOKENS), before)
    assert model.state_dict().keys() == Tied().state_dict().keys()


def test_only_the_two_small_matrices_learn() -> None:
    model = adapted()
    model(TOKENS).square().sum().backward()
    learning = {id(weight) for weight in lora_parameters(model)}
    assert len(learning) == 4
    for name, weight in model.named_parameters():
        has_gradient = weight.grad is not None and bool(weight.grad.any())
        assert has_gradient == (id(weight) in learning), name


def test_everything_learns_again_after_merging() -> None:
    model = adapted()
    merge_lora(model)
    assert all(weight.requires_grad for weight in model.parameters())


def test_the_same_seed_draws_the_same_adapter() -> None:
    first, second = adapted(), adapted()
    for (_, one), (_, other) in zip(adapters(first), adapters(second), strict=True):
        assert one.lora_a.equal(other.lora_a)


def test_dropout_changes_only_training() -> None:
    model = adapted(dropout=0.5)
    assert not model.train()(TOKENS).equal(model(TOKENS))
    assert model.eval()(TOKENS).equal(model(TOKENS))


def test_a_pattern_chooses_by_name() -> None:
    model = Tied()
    assert apply_lora(model, targets=["f*"], rank=1, alpha=1.0) == ["first"]


def test_a_second_round_of_adapters_leaves_the_first_ones_learning() -> None:
    model = Tied()
    apply_lora(model, targets=["first"], rank=2, alpha=1.0)
    assert apply_lora(model, targets=["s*"], rank=1, alpha=1.0) == ["second"]
    assert all(weight.requires_grad for weight in lora_parameters(model))
    assert len(lora_parameters(model)) == 4


def test_a_pattern_that_fits_nothing_is_told_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"no linear map is called 'query'.*\*\.first"):
        apply_lora(Tied(), targets=["query"], rank=1, alpha=1.0)


def test_no_targets_are_refused() -> None:
    with pytest.raises(ConfigError, match="no targets are given"):
        apply_lora(Tied(), targets=[], rank=1, alpha=1.0)


def test_a_matrix_used_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"embedding.weight and .* are one matrix"):
        apply_lora(Tied(), targets=["unembedding"], rank=1, alpha=1.0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"rank": 0, "alpha": 1.0}, "rank is 0"),
        ({"rank": 7, "alpha": 1.0}, "rank is 7.*1 to 6"),
        ({"rank": 2, "alpha": 0.0}, "alpha is 0.0"),
        ({"rank": 2, "alpha": float("nan")}, "alpha is nan"),
        ({"rank": 2, "alpha": 1.0, "dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_sizes_out_of_range_are_refused(settings: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        apply_lora(Tied(), targets=["first"], **settings)  # type: ignore[arg-type]
