"""A run in its folder: goes on from the newest good checkpoint, keeps the truth, saves the rest."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cutaway import checkpoint
from cutaway.errors import ConfigError
from cutaway.run_folder import RunFolder
from cutaway.training.state import TrainingState

CHECKPOINTS_KEPT = 2


@dataclass(frozen=True, kw_only=True)
class Session:
    """Ties a training state to a run folder."""

    folder: RunFolder
    """Where the run lives."""
    stage: str
    """The verb, as written in each line of the metrics."""
    identity: Mapping[str, Any]
    """What must not change between sittings: settings, and the hashes of data and tokenizer."""
    files: Mapping[str, bytes]
    """What makes a checkpoint complete beside its weights: config.json, tokenizer.json, ..."""
    warn: Callable[[str], None]
    """Is told of each checkpoint that was passed over."""

    def resume(self, state: TrainingState) -> bool:
        """Takes over the newest good checkpoint; says whether there was one.

        Raises ConfigError when the run in this folder was made with other settings or data.
        """
        checkpoint.sweep(self.folder.checkpoints)
        found = checkpoint.newest(self.folder.checkpoints)
        for reason in found.passed_over:
            self.warn(f"passed over {reason}")
        if found.checkpoint is None:
            self.folder.metrics.cut_after(0)
            self.folder.samples.cut_after(0)
            return False
        saved = found.checkpoint.json("state.json")
        self._require_same(saved["identity"])
        tensors = {stem: found.checkpoint.tensors(stem) for stem in ("model", "optimizer")}
        state.load(tensors, saved)
        self.folder.metrics.cut_after(state.step)
        self.folder.samples.cut_after(state.step)
        return True

    def save(self, state: TrainingState) -> None:
        """Writes a checkpoint of this state; the metrics up to it reach the disk first."""
        self.folder.metrics.sync()
        self.folder.samples.sync()
        about = {"stage": self.stage, "identity": dict(self.identity), **state.to_json()}
        text = json.dumps(about, ensure_ascii=False, sort_keys=True)
        checkpoint.save(
            self.folder.checkpoints,
            step=state.step,
            tensors=state.tensors(),
            files={**self.files, "state.json": text.encode()},
            keep=CHECKPOINTS_KEPT,
        )

    def write(self, record: dict[str, Any]) -> None:
        """Appends one line to the metrics."""
        self.folder.metrics.append({"stage": self.stage, **record})

    def _require_same(self, saved: Mapping[str, Any]) -> None:
        now = json.loads(json.dumps(dict(self.identity)))
        for key in sorted(saved.keys() | now.keys()):
            if saved.get(key) != now.get(key):
                raise ConfigError(
                    f"{self.folder.path} holds a run with {key} = {saved.get(key)!r}, "
                    f"but {now.get(key)!r} was given\n"
                    "Give run= another folder, or the old setting to go on with that run."
                )
