"""What the tests of alignment share: a toy model that writes letters, and how it is asked."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from cutaway.alignment.rewards import Exchange, Failed, FunctionReward, Prompt, Reward, Scorer
from cutaway.alignment.rollout import PromptPool, Roller
from cutaway.alignment.rounds import Rounds
from cutaway.models.catalog import build
from cutaway.text.conversations import Message
from cutaway.tokenizer.characters import CharacterTokenizer
from cutaway.training.choices import OptimizerConfig
from cutaway.training.optimizers import AdamW, AdamWConfig, Together, optimizer_for
from cutaway.training.plan import Plan
from cutaway.training.state import TrainingState

LETTERS = CharacterTokenizer("abcdefgh ")
SIZES: dict[str, Any] = {
    "architecture": "llama",
    "vocab_size": LETTERS.vocab_size,
    "context_length": 24,
    "width": 16,
    "num_layers": 1,
    "num_heads": 2,
    "num_key_value_heads": 1,
    "hidden_width": 32,
}
FAST = OptimizerConfig(
    kind="adamw",
    learning_rate=0.01,
    embedding_rate=0.01,
    unembedding_rate=0.01,
    vector_rate=0.01,
)


def toy_model(*, seed: int = 1, **sizes: Any) -> nn.Module:
    model = build(SIZES | sizes, generator=torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.dim() > 1 and weight.requires_grad:
            nn.init.normal_(weight, std=0.4, generator=generator)
    return model


def asked(text: str) -> Prompt:
    return (Message(role="user", content=text),)


PROMPTS = [asked(text) for text in ("abc", "b", "hgf a", "dd", "face", "cab")]


def pool() -> PromptPool:
    return PromptPool(PROMPTS, seed=3)


def roller(model: nn.Module) -> Roller:
    return Roller(model, LETTERS, max_tokens=6)


def share_of_a(prompt: str, answer: str) -> float:
    return answer.count("a") / max(1, len(answer))


def scorer(function: Any = share_of_a) -> Scorer:
    return Scorer(FunctionReward(function))


def rounds(model: nn.Module, given: Scorer | None = None) -> Rounds:
    return Rounds(
        roller(model), reference=toy_model(), pool=pool(), scorer=given or scorer(), seed=5
    )


class Always(Reward):
    """Gives what it was told to give."""

    def __init__(self, values: Sequence[float | Failed]) -> None:
        self.values = list(values)

    def rewards(self, exchanges: Sequence[Exchange]) -> list[float | Failed]:
        return [self.values[place % len(self.values)] for place in range(len(exchanges))]


def toy_state(
    model: nn.Module,
    *,
    steps: int,
    companions: dict[str, nn.Module] | None = None,
    optimizer: OptimizerConfig = FAST,
) -> TrainingState:
    beside = {
        f"{stem}.{name}": weight
        for stem, module in (companions or {}).items()
        for name, weight in module.named_parameters()
    }
    head = [AdamW(beside, AdamWConfig(learning_rate=0.01))] if beside else []
    return TrainingState(
        model=model,
        optimizer=Together([optimizer_for(model, optimizer), *head]),
        companions=companions or {},
        plan=Plan(steps=steps),
    )


def hash_of(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for weight in model.parameters():
        digest.update(weight.detach().numpy().tobytes())
    return digest.hexdigest()
