"""A run in its folder: goes on from the newest good checkpoint, keeps the truth, saves the rest."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cutaway import checkpoint
from cutaway.errors import ConfigError
from cutaway.run_folder import RunFolder
from cutaway.training.state import TrainingState

CHECKPOINTS_KEPT = 2

HASHES = {
    "data": "text",
    "tokenizer": "tokenizer",
    "base": "base model",
    "judgements": "set of judgements",
    "reward_model": "reward model",
}
"""Parts of a run's identity that are hashes, and what they are hashes of."""


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
        if saved["stage"] != self.stage:
            raise ConfigError(
                f"{self.folder.path} holds a run of `cutaway {saved['stage']}`, and {self.stage} "
                "needs a folder of its own;\ngive another one with run=PATH"
            )
        self._require_same(saved["identity"])
        tensors = {stem: found.checkpoint.tensors(stem) for stem in state.stems}
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
        # What the user wrote comes before the hashes that follow from it.
        for part in sorted(saved.keys() | now.keys(), key=lambda part: (part in HASHES, part)):
            differences = list(_differences(saved.get(part), now.get(part), part))
            if differences:
                key, before, after = differences[0]
                raise ConfigError(
                    f"{self.folder.path} holds a run with {_told(part, key, before, after)}\n"
                    "Give run= another folder, or what it was made with to go on with that run."
                )


def _differences(before: Any, after: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Yields the dotted key of each value that differs, with both values."""
    if isinstance(before, dict) and isinstance(after, dict) and key not in HASHES:
        for name in sorted(before.keys() | after.keys()):
            yield from _differences(before.get(name), after.get(name), f"{key}.{name}")
    elif before != after:
        yield key, before, after


def _told(part: str, key: str, before: Any, after: Any) -> str:
    """Says what differs, hashes left out: nobody knows one by heart."""
    if part not in HASHES:
        return f"{key}={json.dumps(before)}, and {json.dumps(after)} was given"
    if part == "data" and isinstance(before, dict) and isinstance(after, dict):
        names = [
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        ]
        return f"other text: {', '.join(sorted(names))} is not what it was trained on"
    return f"another {HASHES[part]}"
