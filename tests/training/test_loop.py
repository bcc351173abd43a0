"""The loop: accumulation, clipping, steps that are skipped, stops, and going on bit for bit."""

import json
import math
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutaway.data.batches import TokenBatch
from cutaway.data.loaders import Loader
from cutaway.data.shards import write_shards
from cutaway.data.sources import ExampleSource
from cutaway.errors import ResourceError, Stopped
from cutaway.run_folder import RunFolder
from cutaway.training.choices import OptimizerConfig
from cutaway.training.compile import Execution
from cutaway.training.distributed import Processes
from cutaway.training.hooks import Metrics, SkippedSteps
from cutaway.training.loop import Hook, LoopConfig, Progress, apply_gradients, train
from cutaway.training.objectives import Loss, NextToken
from cutaway.training.optimizers import optimizer_for
from cutaway.training.schedules import Schedule, Trapezoid
from cutaway.training.session import Session
from cutaway.training.state import TrainingState
from tests.training.conftest import toy_model, toy_state

EAGER = Execution()


@dataclass
class Listener:
    """A hook that remembers what it saw, and may do something at a step."""

    at: int | None = None
    do: Callable[[], None] = lambda: None
    seen: list[Progress] = field(default_factory=list)
    ends: int = 0

    def after_step(self, progress: Progress) -> None:
        self.seen.append(progress)
        if progress.state.step == self.at:
            self.do()

    def at_end(self, state: TrainingState) -> None:
        self.ends += 1

    @property
    def losses(self) -> list[float]:
        return [progress.loss for progress in self.seen]


class FailsAt(NextToken):
    """Predicts the next token, but loses its numbers when it reads some batches."""

    def __init__(self, *failing: Tensor) -> None:
        self.failing = failing

    def loss(self, model: nn.Module, vectors: Tensor, batch: TokenBatch) -> Loss:
        loss = super().loss(model, vectors, batch)
        if any(batch.tokens.equal(tokens) for tokens in self.failing):
            return Loss(total=loss.total * math.nan, count=loss.count)
        return loss


def run(
    state: TrainingState,
    loader: Loader,
    *hooks: Hook,
    objective: NextToken | None = None,
    schedule: Schedule | None = None,
    **config: Any,
) -> None:
    train(
        state,
        loader,
        objective=objective or NextToken(),
        schedule=schedule or Trapezoid(),
        config=LoopConfig(**config),
        execution=EAGER,
        hooks=hooks,
    )


def weights(state: TrainingState) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in state.model.named_parameters()}


def test_the_loss_falls(loader: Callable[..., Loader]) -> None:
    listener = Listener()
    run(toy_state(steps=30), loader(), listener)
    assert listener.losses[0] == pytest.approx(math.log(40), rel=0.1)
    assert listener.losses[-1] < 0.8 * listener.losses[0]


@pytest.mark.parametrize("micro_rows", [1, 2, 4, 5])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    micro_rows: int, loader: Callable[..., Loader]
) -> None:
    whole, pieces = Listener(), Listener()
    first = toy_state(steps=6, kind="adamw", learning_rate=0.01)
    second = toy_state(steps=6, kind="adamw", learning_rate=0.01)
    run(first, loader(), whole)
    run(second, loader(), pieces, micro_rows=micro_rows)
    assert pieces.losses == pytest.approx(whole.losses, rel=1e-5)
    for one, two in zip(whole.seen, pieces.seen, strict=True):
        assert two.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-4)


def test_every_prediction_weighs_the_same_in_whatever_piece_it_lies(tmp_path: Path) -> None:
    ids = torch.randint(40, (2, 13), generator=torch.Generator().manual_seed(0)).tolist()
    learned = [[False] * 12 + [True], [True] * 13]  # one prediction, and twelve
    shards = write_shards(zip(ids, learned, strict=True), tmp_path / "two", vocab_size=40)
    source = ExampleSource(name="two", shards=shards)
    loader = Loader([source], rows=2, row_length=12, seed=0)
    batch = loader.batch(0)
    assert sorted(batch.loss_mask.sum(dim=1).tolist()) == [1, 12]
    state, listener = toy_state(steps=1), Listener()
    logits = state.model(batch.tokens)
    expected = nn.functional.cross_entropy(
        logits[batch.loss_mask], batch.targets[batch.loss_mask]
    ).item()
    run(state, loader, listener, micro_rows=1)
    assert listener.losses == pytest.approx([expected], rel=1e-6)


def test_a_long_gradient_is_scaled_down_to_the_limit(loader: Callable[..., Loader]) -> None:
    class Spy:
        norm = 0.0

        def step(self, factor: float) -> None:
            slopes = [w.grad for w in state.model.parameters() if w.grad is not None]
            self.norm = float(torch.stack([slope.norm() for slope in slopes]).norm())

    state, listener = toy_state(steps=1), Listener()
    state.optimizer = Spy()  # type: ignore[assignment]
    run(state, loader(), listener, clip_norm=0.01)
    assert listener.seen[0].gradient_norm > 0.1
    assert state.optimizer.norm == pytest.approx(0.01, rel=1e-5)  # type: ignore[attr-defined]


def test_the_schedule_and_the_counts_are_told(loader: Callable[..., Loader]) -> None:
    schedule, listener = Trapezoid(warmup=0.5), Listener()
    state = toy_state(steps=8)
    run(state, loader(), listener, schedule=schedule)
    factors = [progress.learning_rate_factor for progress in listener.seen]
    assert factors == [schedule.factor(step, 8) for step in range(8)]
    assert (state.step, state.tokens, state.skipped) == (8, 8 * 6 * 12, 0)
    assert listener.ends == 1


def test_dropout_is_on_in_training_and_off_in_hooks_that_look(
    loader: Callable[..., Loader],
) -> None:
    state, listener = toy_state(steps=2), Listener()
    state.model.eval()
    run(state, loader(), listener)
    assert all(progress.state.model.training for progress in listener.seen)


def test_a_step_that_is_not_finite_changes_no_weight(loader: Callable[..., Loader]) -> None:
    state, batches = toy_state(steps=10), loader()
    before: dict[int, dict[str, Tensor]] = {}
    listener = Listener()

    class Keeper(Listener):
        def after_step(self, progress: Progress) -> None:
            before[progress.state.step] = weights(progress.state)

    run(state, batches, listener, Keeper(), objective=FailsAt(batches.batch(4).tokens))
    assert [not math.isfinite(loss) for loss in listener.losses] == [n == 4 for n in range(10)]
    assert state.skipped == 1
    assert state.skipped_in_a_row == 0
    for name, weight in before[5].items():
        assert weight.equal(before[4][name])
        assert not weight.equal(before[6][name])
    assert all(weight.grad is None for weight in state.model.parameters())


def test_a_skipped_step_is_shown_as_what_it_is_and_its_batch_is_kept(
    loader: Callable[..., Loader], tmp_path: Path
) -> None:
    folder, batches, state = RunFolder(path=tmp_path), loader(), toy_state(steps=10)
    hooks = [Metrics(folder.metrics.append, every=100), SkippedSteps(tmp_path)]
    run(state, batches, *hooks, objective=FailsAt(batches.batch(4).tokens))
    records = folder.metrics.read()
    assert [record["step"] for record in records] == [1, 5, 10]
    assert [record["loss"] == "NaN" for record in records] == [False, True, False]
    assert math.isnan(float(records[1]["gradient_norm"]))
    assert [record.get("skipped") for record in records] == [None, True, None]
    [path] = tmp_path.glob("skipped-step-*.json")
    assert path.name == "skipped-step-00000005.json"
    kept = json.loads(path.read_text())
    assert kept["step"] == 5
    for name in ("tokens", "targets", "documents"):
        assert kept[name] == getattr(batches.batch(4), name).tolist()
    assert kept["loss_mask"] == batches.batch(4).loss_mask.tolist()
    assert kept["loss"] == kept["gradient_norm"] == "nan"
    assert kept["gradient_norms"].keys() == dict(state.model.named_parameters()).keys()


def test_two_bad_steps_in_a_row_are_survived_and_three_stop_the_run(
    loader: Callable[..., Loader],
) -> None:
    batches = loader()
    bad = [batches.batch(step).tokens for step in (2, 3, 5, 6, 7)]
    state, listener = toy_state(steps=10), Listener()
    with pytest.raises(ResourceError, match="not finite at 3 steps in a row, the last one step 8"):
        run(state, batches, listener, objective=FailsAt(*bad))
    assert (state.step, state.skipped) == (8, 5)
    assert listener.ends == 0
    assert all(weight.isfinite().all() for weight in weights(state).values())


def test_an_infinite_gradient_of_a_finite_loss_is_skipped_too(
    loader: Callable[..., Loader],
) -> None:
    state, listener = toy_state(steps=1), Listener()
    state.model.get_parameter("stack.norm.weight").register_hook(lambda slope: slope * math.inf)
    before = weights(state)
    run(state, loader(), listener)
    assert math.isfinite(listener.losses[0])
    assert not math.isfinite(listener.seen[0].gradient_norm)
    assert state.skipped == 1
    assert all(weight.equal(before[name]) for name, weight in weights(state).items())
    norms = listener.seen[0].gradient_norms
    assert [name for name, norm in norms.items() if not math.isfinite(norm)] == [
        "stack.norm.weight"
    ]


def session_of(folder: Path) -> Session:
    return Session(
        folder=RunFolder(path=folder),
        stage="pretrain",
        identity={},
        files={},
        warn=lambda text: None,
    )


class KilledError(Exception):
    """Ends a run without a word."""


class Saves:
    """Saves at the end, and at a step where one is given."""

    def __init__(self, session: Session, *, at: int | None = None) -> None:
        self.session, self.at = session, at

    def after_step(self, progress: Progress) -> None:
        if progress.state.step == self.at:
            self.session.save(progress.state)

    def at_end(self, state: TrainingState) -> None:
        self.session.save(state)


def dropping() -> TrainingState:
    """A state that draws random numbers in each step."""
    return toy_state(steps=12, model=toy_model(architecture="gpt", dropout=0.3))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_stops_after_the_step_and_a_resumed_run_is_bit_equal(
    number: signal.Signals, loader: Callable[..., Loader], tmp_path: Path
) -> None:
    torch.manual_seed(3)
    unbroken, whole = dropping(), Listener()
    run(unbroken, loader(), whole)
    torch.manual_seed(3)
    first = Listener(at=5, do=lambda: os.kill(os.getpid(), number))
    with pytest.raises(Stopped, match="stopped after step 5; the same command goes on from here"):
        run(dropping(), loader(), first, Saves(session_of(tmp_path)))
    torch.manual_seed(99)
    resumed, second = dropping(), Listener()
    assert session_of(tmp_path).resume(resumed)
    assert resumed.step == 5
    run(resumed, loader(), second)
    assert first.losses + second.losses == whole.losses
    for name, weight in weights(unbroken).items():
        assert weight.equal(weights(resumed)[name]), name
    assert (resumed.tokens, resumed.skipped) == (unbroken.tokens, unbroken.skipped)


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_a_run_that_was_killed_goes_on_from_its_checkpoint_bit_for_bit(
    kind: str, loader: Callable[..., Loader], tmp_path: Path
) -> None:
    unbroken, whole = toy_state(steps=12, kind=kind), Listener()
    run(unbroken, loader(), whole)

    def die() -> None:
        raise KilledError

    dies = Listener(at=9, do=die)
    with pytest.raises(KilledError):
        run(toy_state(steps=12, kind=kind), loader(), Saves(session_of(tmp_path), at=7), dies)
    resumed, second = toy_state(steps=12, kind=kind, model=toy_model(seed=2)), Listener()
    session_of(tmp_path).resume(resumed)
    run(resumed, loader(), second)
    assert second.losses == whole.losses[7:]
    assert all(w.equal(weights(unbroken)[name]) for name, w in weights(resumed).items())


def test_a_signal_in_the_last_step_lets_the_run_end(loader: Callable[..., Loader]) -> None:
    listener = Listener(at=4, do=lambda: os.kill(os.getpid(), signal.SIGTERM))
    run(toy_state(steps=4), loader(), listener)
    assert listener.ends == 1


def test_a_finished_run_takes_no_step(loader: Callable[..., Loader]) -> None:
    state, listener = toy_state(steps=4), Listener()
    state.step = 4
    run(state, loader(), listener)
    assert listener.seen == []
    assert listener.ends == 1


def test_low_precision_learns_with_weights_and_losses_in_full(
    loader: Callable[..., Loader],
) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        state, listener = toy_state(steps=5), Listener()
        train(
            state,
            loader(),
            objective=NextToken(),
            schedule=Trapezoid(),
            config=LoopConfig(),
            execution=Execution(precision=precision),  # type: ignore[arg-type]
            hooks=[listener],
        )
        assert {weight.dtype for weight in state.model.parameters()} == {torch.float32}
        losses.append(listener.losses)
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_frozen_weights_stay(loader: Callable[..., Loader]) -> None:
    state = toy_state(steps=3)
    frozen = state.model.get_parameter("stack.blocks.0.attention.query_projection.weight")
    frozen.requires_grad_(False)
    state.optimizer = optimizer_for(state.model, OptimizerConfig())
    before = frozen.clone()
    run(state, loader())
    assert frozen.equal(before)


# steps within one autocast -------------------------------------------------------------------


def test_what_is_computed_after_a_step_within_one_autocast_is_of_the_new_weights():
    linear = nn.Linear(4, 4, bias=False)
    state = toy_state(steps=1, model=linear, kind="adamw", learning_rate=0.5)
    given = torch.ones(1, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        linear(given).float().sum().backward()
        apply_gradients(state, loss=0.0, clip_norm=None, factor=1.0, group=Processes())
        inside = linear(given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(inside, linear(given))
