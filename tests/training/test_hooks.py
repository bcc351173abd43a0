"""Hooks: lines when they are due, looks once each, and checkpoints that hold what was decided."""

from typing import Any

import pytest
import torch
from torch import nn

from cutaway.data.batches import TokenBatch
from cutaway.training import hooks
from cutaway.training.hooks import AtShares, Checkpoints, Metrics, SkippedSteps
from cutaway.training.loop import Progress
from cutaway.training.optimizers import Together
from cutaway.training.plan import Plan
from cutaway.training.state import TrainingState

BATCH = TokenBatch(
    tokens=torch.zeros(1, 2, dtype=torch.int64),
    targets=torch.zeros(1, 2, dtype=torch.int64),
    loss_mask=torch.ones(1, 2, dtype=torch.bool),
    documents=torch.ones(1, 2, dtype=torch.int64),
)


def state_of(plan: Plan) -> TrainingState:
    return TrainingState(model=nn.Linear(1, 1), optimizer=Together([]), plan=plan)


def step(state: TrainingState, *, seconds: float = 1.0) -> Progress:
    """Takes a step that takes this long."""
    state.step += 1
    state.seconds += seconds
    return Progress(
        state=state,
        steps=state.plan.total(state.step),
        loss=2.0,
        gradient_norm=0.5,
        learning_rate_factor=1.0,
        seconds=seconds,
        tokens=300,
        metrics={"accuracy": 0.25},
        batch=BATCH,
        gradient_norms={},
    )


def test_metrics_are_written_at_the_first_the_last_and_every_nth_step() -> None:
    records: list[dict[str, Any]] = []
    state, metrics = state_of(Plan(steps=11)), Metrics(records.append, every=4)
    for _ in range(11):
        metrics.after_step(step(state))
    assert [record["step"] for record in records] == [1, 4, 8, 11]
    assert records[1]["tokens_per_second"] == 300.0
    assert records[1]["accuracy"] == 0.25
    assert "skipped" not in records[1]


def test_a_step_that_was_skipped_is_always_written() -> None:
    records: list[dict[str, Any]] = []
    state, metrics = state_of(Plan(steps=100)), Metrics(records.append, every=50)
    step(state)
    state.skipped_in_a_row = 1
    metrics.after_step(step(state))
    assert [(record["step"], record["skipped"]) for record in records] == [(2, True)]


def test_no_more_batches_are_kept_than_anyone_will_read(tmp_path: Any) -> None:
    state, keeper = state_of(Plan(steps=500)), SkippedSteps(tmp_path)
    for skipped in range(1, SkippedSteps.MOST + 20):
        state.skipped, state.skipped_in_a_row = skipped, 1
        keeper.after_step(step(state))
    assert len(list(tmp_path.iterdir())) == SkippedSteps.MOST


def test_something_is_done_once_at_each_share() -> None:
    done: list[int] = []
    state = state_of(Plan(steps=20))
    looks = AtShares(lambda now: done.append(now.step), name="run", shares=(0.1, 0.5, 0.52, 1.0))
    for _ in range(20):
        looks.after_step(step(state))
    assert done == [2, 10, 11, 20]


def test_a_resumed_run_neither_repeats_nor_misses_a_look() -> None:
    done: list[int] = []
    state = state_of(Plan(steps=20))
    for _ in range(20):
        # A new hook at every step, as if the run had been stopped after each.
        looks = AtShares(lambda now: done.append(now.step), name="run", shares=(0.1, 0.5, 1.0))
        looks.after_step(step(state))
    assert done == [2, 10, 20]


def test_the_model_is_evaluated_as_it_will_be_used_and_then_trains_on() -> None:
    modes: list[bool] = []
    state = state_of(Plan(steps=2))
    looks = AtShares(lambda now: modes.append(now.model.training), name="run", shares=(0.5, 1.0))
    state.model.train()
    looks.after_step(step(state))
    assert modes == [False]
    assert state.model.training


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(hooks, "time", clock)
    return clock


def test_checkpoints_are_saved_when_their_time_has_passed_and_at_the_end(clock: Clock) -> None:
    saved: list[int] = []
    state = state_of(Plan(steps=30))
    checkpoints = Checkpoints(lambda now: saved.append(now.step), seconds=10.0)
    for _ in range(30):
        clock.now += 3.0
        checkpoints.after_step(step(state))
    checkpoints.at_end(state)
    assert saved == [4, 8, 12, 16, 20, 24, 28, 30]


def test_nothing_is_saved_while_steps_are_skipped(clock: Clock) -> None:
    saved: list[int] = []
    state = state_of(Plan(steps=30))
    checkpoints = Checkpoints(lambda now: saved.append(now.step), seconds=0.5)
    for number in range(1, 8):
        clock.now += 1.0
        state.skipped_in_a_row = 1 if number in (3, 4) else 0
        checkpoints.after_step(step(state))
    assert saved == [1, 2, 5, 6, 7]


def test_a_timed_run_gets_its_length_from_the_steps_after_the_first(clock: Clock) -> None:
    saved: list[list[tuple[int, int]]] = []
    state = state_of(Plan(seconds=1000.0))
    checkpoints = Checkpoints(lambda now: saved.append(list(now.plan.corrections)), seconds=1e9)
    for number in range(20):
        # The first step compiles; what hooks do beside the steps counts as well.
        progress = step(state, seconds=50.0 if number == 0 else 2.0)
        checkpoints.after_step(progress)
        state.seconds += 0.5
    made = Checkpoints.FIRST + 1
    elapsed = 50.0 + 0.5 + 2.5 * Checkpoints.FIRST - 0.5
    assert saved == [[(made, made + round((1000.0 - elapsed) / 2.5))]]


def test_what_is_decided_is_in_the_checkpoint_that_is_saved_with_it(clock: Clock) -> None:
    saved: list[int] = []
    state = state_of(Plan(seconds=100.0))
    checkpoints = Checkpoints(lambda now: saved.append(len(now.plan.corrections)), seconds=10.0)
    for _ in range(60):
        clock.now += 1.0
        checkpoints.after_step(step(state))
    assert saved[-1] == len(state.plan.corrections)
    assert saved == sorted(saved)
