"""Models that are damaged, of another kind, or made to run code: none is opened, nothing runs."""

import hashlib
import io
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.mistakes.conftest import QUICK, Tell

CANARY = Path("canary")
"""What a file that runs code would make."""

Damage = Callable[[Path], None]


class Explosive:
    """A pickle of it runs a command when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {CANARY}",)


def sealed(folder: Path) -> None:
    """Writes the manifest anew, as if the checkpoint had been made so: its hashes hold."""
    place = folder / "MANIFEST.json"
    manifest = json.loads(place.read_text())
    files = sorted(path for path in folder.iterdir() if path.name != place.name)
    manifest["files"] = {
        path.name: {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    }
    place.write_text(json.dumps(manifest, indent=1) + "\n")


def flips_a_byte(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


def cuts_the_weights(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 1000)


def replaces_the_manifest(content: str) -> Damage:
    return lambda folder: (folder / "MANIFEST.json").write_text(content) and None


def names_a_file_outside(folder: Path) -> None:
    place = folder / "MANIFEST.json"
    place.write_text(place.read_text().replace('"config.json"', '"../config.json"'))


def links_the_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename("elsewhere")
    (folder / "model.safetensors").symlink_to(Path("elsewhere").resolve())


def without(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        if name != "MANIFEST.json":
            sealed(folder)

    return damage


def writes(name: str, content: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)
        sealed(folder)

    return damage


def sets(**settings: object) -> Damage:
    """Changes config.json; None takes a setting out."""

    def damage(folder: Path) -> None:
        known = json.loads((folder / "config.json").read_text()) | settings
        left = {key: value for key, value in known.items() if value is not None}
        writes("config.json", json.dumps(left).encode())(folder)

    return damage


def torch_file() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(1)}, file)
    return file.getvalue()


def tokenizer_of(alphabet: str) -> bytes:
    from cutaway.tokenizer.characters import CharacterTokenizer

    return CharacterTokenizer(alphabet).to_json().encode()


HUGE_HEADER = struct.pack("<Q", 2**62) + b"{}"

DAMAGED = {
    "a changed byte": (flips_a_byte, "model.safetensors: the content is not what was saved"),
    "half of the weights": (cuts_the_weights, "model.safetensors: 1,000 bytes instead of"),
    "no manifest": (without("MANIFEST.json"), "no MANIFEST.json, so it is none of our checkpoints"),
    "a manifest of another format": (replaces_the_manifest("{}"), "not a manifest of format 1"),
    "a manifest that is no JSON": (replaces_the_manifest("]"), "MANIFEST.json: not JSON"),
    "a file of another folder": (names_a_file_outside, "MANIFEST.json"),
    "a link to other weights": (links_the_weights, "model.safetensors: cannot be read"),
    "no weights": (without("model.safetensors"), "the manifest names no model.safetensors"),
    "no tokenizer": (without("tokenizer.json"), "the manifest names no tokenizer.json"),
    "no config": (without("config.json"), "has no config.json"),
    "a tokenizer of another model": (
        writes("tokenizer.json", tokenizer_of("".join(map(chr, range(100, 900))))),
        "the tokenizer has 806 tokens and the model knows 295",
        "put this model's own there",
    ),
    "a tokenizer that is no JSON": (writes("tokenizer.json", b"{"), "tokenizer.json is not JSON"),
    "a tokenizer of another kind": (
        writes("tokenizer.json", b'{"model": {"type": "Unigram"}}'),
        "is not a tokenizer that can be used: its model is 'Unigram'",
        "Allowed: byte pairs",
    ),
    "weights of another size": (sets(width=32), "the checkpoint has", "use the model settings"),
    "another architecture": (
        sets(
            architecture="speedrun",
            norm_placement=None,
            window=None,
            tied=None,
            hidden_width=None,
            activation=None,
            norm_epsilon=None,
        ),
        "weight",
        "The checkpoint is of another architecture or size",
    ),
    "an unknown architecture": (sets(architecture="gpt5"), "unknown architecture 'gpt5'", "llama"),
    "a Hugging Face config": (
        sets(architecture=None, model_type="gpt2"),
        "a Hugging Face config of type 'gpt2', which cannot be opened yet",
    ),
    "no heads": (sets(num_heads=0), "config.json: `num_heads` is 0, but allowed is 1 to"),
    "an absurd width": (sets(width=10**9), "`width` is 1000000000, but allowed is 1 to 262,144"),
    "an absurd depth": (sets(num_layers=10**6), "`num_layers` is 1000000, but allowed is 1 to"),
    "a text for a number": (sets(width="16"), "`width` is 16: Input should be a valid integer"),
    "a missing setting": (sets(width=None), "config.json: `width` is missing"),
    "adapters that are none": (sets(lora=[1]), "config.json", "`lora` is not a table"),
    "a config that is a list": (writes("config.json", b"[1]"), "not a table of settings"),
    "a header without end": (writes("model.safetensors", HUGE_HEADER), "model.safetensors"),
    "code by auto_map": (
        sets(auto_map={"AutoModel": "canary.py"}, trust_remote_code=True),
        "config.json: `auto_map` is no setting of gpt",
    ),
    "code by _target_": (sets(_target_="os.system"), "`_target_` is no setting of gpt"),
    "a pickle for weights": (
        writes("model.safetensors", pickle.dumps(Explosive())),
        "this is a pickle, not a safetensors file",
        "ask for it as .safetensors",
    ),
    "a file of torch.save": (
        writes("model.safetensors", torch_file()),
        "a zip archive, as torch.save writes it",
    ),
    "a pickle for a config": (
        writes("config.json", pickle.dumps(Explosive())),
        "config.json: not JSON",
    ),
    "a pickle for a tokenizer": (
        writes("tokenizer.json", pickle.dumps(Explosive())),
        "tokenizer.json is not JSON",
    ),
}

PATHS = {
    "no such model": ("nowhere", "there is no model at nowhere", "give a run folder"),
    "a misspelt model": ("toyy", "there is no model at toyy; did you mean toy?"),
    "a text file": ("texts/1.txt", "texts/1.txt: a file, not a model"),
    "a folder of texts": ("texts", "texts: neither a run", "nor a checkpoint"),
}


@pytest.fixture
def copy(tell: Tell, toy_run: Path) -> Path:
    """A checkpoint that may be damaged."""
    (original,) = (toy_run / "checkpoints").glob("step-00000002")
    return Path(shutil.copytree(original, Path("mine/checkpoints/step-00000002")))


@pytest.mark.parametrize(("damage", "says"), [(m[0], m[1:]) for m in DAMAGED.values()], ids=DAMAGED)
def test_a_damaged_or_hostile_checkpoint_is_refused_and_runs_nothing(
    tell: Tell, copy: Path, damage: Damage, says: tuple[str, ...]
) -> None:
    damage(copy)
    told = tell(f"generate {copy} x max_tokens=1")
    assert told.code == 4
    for fragment in says:
        assert fragment in told.errors
    assert not CANARY.exists()


@pytest.mark.parametrize("command", ["generate {} x", "chat {}", "evaluate {}"])
@pytest.mark.parametrize(("path", "says"), [(m[0], m[1:]) for m in PATHS.values()], ids=PATHS)
def test_what_is_no_model_is_told_with_what_would_be_one(
    tell: Tell, command: str, path: str, says: tuple[str, ...]
) -> None:
    told = tell(command.format(path))
    assert told.code == 4
    for fragment in says:
        assert fragment in told.errors


def test_the_whole_toy_can_be_opened(tell: Tell, copy: Path) -> None:
    sealed(copy)
    assert tell(f"generate {copy} x max_tokens=1").code == 0


def test_a_damaged_checkpoint_of_a_run_is_passed_over_and_told(tell: Tell, toy_run: Path) -> None:
    shutil.copytree(toy_run, "mine")
    newest = max(Path("mine/checkpoints").glob("step-*"))
    flips_a_byte(newest)
    told = tell("generate mine x max_tokens=1")
    assert told.code == 0
    assert f"warning: passed over {newest / 'model.safetensors'}" in told.errors


def test_a_tokenizer_that_is_none_is_refused_in_training(tell: Tell) -> None:
    Path("tokenizer.json").write_text("no JSON")
    told = tell("pretrain data=texts run=r tokenizer=tokenizer.json")
    assert told.code == 4
    assert "tokenizer.json is not JSON" in told.errors


def test_an_adapter_is_not_put_on_other_weights(tell: Tell, toy_run: Path) -> None:
    shutil.copytree(toy_run, "base")
    assert tell(f"finetune base data=chats.jsonl run=tuned lora.rank=2 {QUICK}").code == 0
    assert tell("generate tuned/adapter hello max_tokens=1").code == 0
    named = json.loads(Path("tuned/adapter/base.json").read_text())
    place = Path(named["path"])
    weights = bytearray((place / "model.safetensors").read_bytes())
    weights[-7] ^= 1
    writes("model.safetensors", bytes(weights))(place)
    told = tell("generate tuned/adapter hello max_tokens=1")
    assert told.code == 4
    assert "the adapter was trained on other weights" in told.errors
    shutil.rmtree("base")
    told = tell("generate tuned/adapter hello max_tokens=1")
    assert told.code == 4
    assert "there is no model at" in told.errors
