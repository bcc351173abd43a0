"""A run in its folder: goes on where it was, cuts what came after, refuses what was changed."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway.errors import CheckpointError, ConfigError
from cutaway.run_folder import RunFolder
from cutaway.training.session import CHECKPOINTS_KEPT, Session
from cutaway.training.state import TrainingState
from tests.training.conftest import toy_model, toy_state

IDENTITY: dict[str, Any] = {
    "seed": 1,
    "optimizer": {"kind": "muon", "rate": 0.02},
    "data": {"my_folder as text": "a1b2"},
}


def session(folder: Path, **changes: Any) -> Session:
    warned: list[str] = []
    made = Session(
        folder=RunFolder(path=folder),
        stage="pretrain",
        identity=IDENTITY | changes,
        files={"config.json": b"{}"},
        warn=warned.append,
    )
    object.__setattr__(made, "warned", warned)
    return made


def advanced(state: TrainingState, *, to: int) -> TrainingState:
    """Moves every weight and counts the steps."""
    with torch.no_grad():
        for weight in state.model.parameters():
            weight.add_(float(to))
    state.step, state.tokens, state.seconds = to, 100 * to, 1.5 * to
    return state


def test_a_new_run_begins_at_the_beginning(tmp_path: Path) -> None:
    state = toy_state()
    RunFolder(path=tmp_path).metrics.append({"step": 3})  # of a sitting that saved nothing
    assert not session(tmp_path).resume(state)
    assert state.step == 0
    assert RunFolder(path=tmp_path).metrics.read() == []


def test_a_saved_state_comes_back_whole(tmp_path: Path) -> None:
    saved = advanced(toy_state(), to=7)
    saved.skipped, saved.skipped_in_a_row, saved.notes = 3, 1, {"shares of run": 2}
    session(tmp_path).save(saved)
    state = toy_state(model=toy_model(seed=9))
    assert session(tmp_path).resume(state)
    assert state.to_json() == saved.to_json()
    for one, two in zip(state.model.parameters(), saved.model.parameters(), strict=True):
        assert one.equal(two)


def test_the_dropout_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    torch.manual_seed(4)
    torch.rand(5)
    session(tmp_path).save(toy_state())
    expected = torch.rand(3)
    torch.manual_seed(5)
    session(tmp_path).resume(toy_state())
    assert torch.rand(3).equal(expected)


def test_metrics_and_samples_are_cut_after_the_step_of_the_checkpoint(tmp_path: Path) -> None:
    run, state = session(tmp_path), toy_state()
    for number in range(1, 8):
        state.step = number
        run.write({"step": number, "loss": 1.0 / number})
        run.folder.samples.append({"step": number, "text": "so it goes"})
        if number == 5:
            run.save(state)
    session(tmp_path).resume(toy_state())
    for lines in (run.folder.metrics, run.folder.samples):
        assert [record["step"] for record in lines.read()] == [1, 2, 3, 4, 5]
    assert run.folder.metrics.read()[0]["stage"] == "pretrain"


def test_a_damaged_checkpoint_is_passed_over_and_told(tmp_path: Path) -> None:
    run = session(tmp_path)
    run.save(advanced(toy_state(), to=3))
    run.save(advanced(toy_state(), to=4))
    path = tmp_path / "checkpoints" / "step-00000004" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    state, again = toy_state(), session(tmp_path)
    assert again.resume(state)
    assert state.step == 3
    assert "passed over" in again.warned[0]  # type: ignore[attr-defined]
    assert "step-00000004" in again.warned[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 2}, "holds a run with seed=1, and 2 was given"),
        (
            {"optimizer": {"kind": "muon", "rate": 0.1}},
            r"holds a run with optimizer\.rate=0\.02, and 0\.1 was given",
        ),
        ({"rows": 8}, "holds a run with rows=null, and 8 was given"),
        ({"data": {"my_folder as text": "ffff"}}, "other text: my_folder as text is not what"),
        ({"seed": 2, "data": {"my_folder as text": "ffff"}}, "seed=1, and 2 was given"),
        ({"tokenizer": "ffff"}, "holds a run with another tokenizer"),
    ],
)
def test_a_changed_setting_is_refused_by_its_name(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    session(tmp_path).save(advanced(toy_state(), to=3))
    state = toy_state()
    with pytest.raises(ConfigError, match=told) as caught:
        session(tmp_path, **changes).resume(state)
    assert "Give run= another folder" in str(caught.value)
    assert state.step == 0


def test_settings_that_json_writes_otherwise_are_still_the_same(tmp_path: Path) -> None:
    session(tmp_path, prompts=("a", "b")).save(toy_state())
    assert session(tmp_path, prompts=["a", "b"]).resume(toy_state())


def test_the_state_of_another_size_is_refused(tmp_path: Path) -> None:
    session(tmp_path).save(toy_state())
    with pytest.raises(CheckpointError, match=r"the checkpoint has .* the model has"):
        session(tmp_path).resume(toy_state(model=toy_model(width=32)))


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    run = session(tmp_path)
    for number in range(5):
        run.save(advanced(toy_state(), to=number))
    names = sorted(path.name for path in run.folder.checkpoints.iterdir())
    assert len(names) == CHECKPOINTS_KEPT
    assert names[-1] == "step-00000004"


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    state = toy_state()
    session(tmp_path).save(state)
    with torch.no_grad():
        state.model.get_parameter("stack.norm.weight")[0] = torch.nan
    state.step = 1
    with pytest.raises(CheckpointError, match=r"stack\.norm\.weight"):
        session(tmp_path).save(state)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000000"]
