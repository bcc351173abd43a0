"""Hugging Face folders that are damaged or hostile: none is opened, and nothing of them runs."""

import io
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from cutaway.interop.huggingface.folder import write_folder
from cutaway.models.catalog import build
from cutaway.tokenizer import fast
from tests.mistakes.conftest import Tell

CANARY = Path("canary")
WEIGHTS = "model.safetensors"
Damage = Callable[[Path], Any]

SIZES = {
    "vocab_size": 300,
    "context_length": 16,
    "width": 8,
    "num_layers": 2,
    "num_heads": 2,
}


class Explosive:
    """A pickle of it runs a command when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {CANARY}",)


@pytest.fixture
def folder(tell: Tell) -> Path:
    """A sound Hugging Face folder that may be damaged."""
    tokenizer = fast.train(["the old fox and the new fox"] * 3, vocab_size=270)
    llama = {"architecture": "llama", "num_key_value_heads": 1, "hidden_width": 12}
    write_folder(Path("hf"), model=build(SIZES | llama), tokenizer=tokenizer, dtype=torch.float32)
    return Path("hf")


def config(**settings: object) -> Damage:
    """Changes config.json; None takes a key out."""

    def damage(folder: Path) -> None:
        known = json.loads((folder / "config.json").read_text()) | settings
        left = {key: value for key, value in known.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(left))

    return damage


def writes(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def without(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    """Changes the weights."""

    def damage(folder: Path) -> None:
        found = safetensors.torch.load_file(folder / WEIGHTS)
        change(found)
        safetensors.torch.save_file(found, folder / WEIGHTS)

    return damage


def links(name: str, target: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).rename("moved")
        (folder / name).symlink_to(Path(target).resolve())

    return damage


def pipes(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def index(*names: str) -> Damage:
    places = {f"tensor{number}": name for number, name in enumerate(names)}
    return writes("model.safetensors.index.json", json.dumps({"weight_map": places}).encode())


def pickled_only(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Explosive()))


def torch_file() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(1)}, file)
    return file.getvalue()


def header(table: object, *, data: bytes = b"") -> bytes:
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


def spoiled(value: float) -> Damage:
    return tensors(lambda found: found["model.norm.weight"].fill_(value))


BIG = {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}
MANY = {
    f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(9999)
}
TWO = {
    "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
    "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]},
}
DEEP = b"[" * 100_000

REFUSED: dict[str, tuple[Damage, str]] = {
    "a pickle under the weights' name": (
        writes(WEIGHTS, pickle.dumps(Explosive())),
        "this is a pickle, not a safetensors file",
    ),
    "a file of torch.save": (writes(WEIGHTS, torch_file()), "a zip archive, as torch.save writes"),
    "a GGUF file": (writes(WEIGHTS, b"GGUF" + bytes(99)), "a GGUF file"),
    "an HDF5 file": (writes(WEIGHTS, b"\x89HDF\r\n\x1a\n" + bytes(99)), "an HDF5 file"),
    "weights as a pickle only": (pickled_only, "its weights are a pickle, which can run code"),
    "a pickle as config": (writes("config.json", pickle.dumps(Explosive())), "config.json"),
    "a pickle as tokenizer": (writes("tokenizer.json", pickle.dumps(Explosive())), "not JSON"),
    "a pickle as tokenizer config": (
        writes("tokenizer_config.json", pickle.dumps(Explosive())),
        "tokenizer_config.json: not JSON",
    ),
    "a pickle as index": (
        writes("model.safetensors.index.json", pickle.dumps(Explosive())),
        "index.json: not JSON",
    ),
    "auto_map": (config(auto_map={"AutoModel": "evil--canary.py"}), "`auto_map` names code"),
    "_target_": (config(_target_="os.system"), "`_target_` names code"),
    "class_path": (config(class_path="os.system"), "`class_path` names code"),
    "trust_remote_code": (config(trust_remote_code=True), "`trust_remote_code` names code"),
    "a type that is a path": (config(model_type="../../os"), "a Hugging Face config of type"),
    "a type that nobody knows": (config(model_type="t5"), "this version opens the types gpt2"),
    "a type that is a list": (config(model_type=["llama"]), "a Hugging Face config of type"),
    "quantized weights": (config(quantization_config={"bits": 4}), "the weights are quantized"),
    "weights of a classifier": (
        config(architectures=["LlamaForSequenceClassification"]),
        "only LlamaForCausalLM can be opened",
    ),
    "no heads": (config(num_attention_heads=0), "`num_attention_heads` is 0"),
    "no key heads": (config(num_key_value_heads=0), "`num_key_value_heads` is 0"),
    "key heads that do not divide": (config(num_key_value_heads=3), "3 key/value heads"),
    "no channels": (config(head_dim=0), "`head_dim` is 0"),
    "odd channels": (config(head_dim=3), "head_width 3 is odd"),
    "no vocabulary": (config(vocab_size=0), "`vocab_size` is 0"),
    "no layers": (config(num_hidden_layers=0), "`num_hidden_layers` is 0"),
    "an absurd depth": (config(num_hidden_layers=10**9), "`num_layers` is 1000000000"),
    "an absurd width": (config(hidden_size=2**30), "`width` is 1073741824"),
    "an absurd context": (config(max_position_embeddings=2**30), "`context_length` is"),
    "a negative width": (config(hidden_size=-8), "`hidden_size` is -8"),
    "a number beyond all": (config(hidden_size=10**30), "`hidden_size` is 1000"),
    "a text for a number": (config(hidden_size="8"), "`hidden_size` is 8"),
    "truth for a number": (config(hidden_size=True), "`hidden_size` is True"),
    "a missing size": (config(hidden_size=None), "`hidden_size` is missing"),
    "a number for truth": (config(tie_word_embeddings=1), "`tie_word_embeddings` is 1"),
    "no epsilon": (config(rms_norm_eps=0), "`norm_epsilon` is 0"),
    "a rotation without base": (config(rope_theta=0), "`rope_theta` is 0"),
    "a rotation by text": (config(rope_theta="e"), "`rope_theta` is e"),
    "yarn": (config(rope_scaling={"rope_type": "yarn", "factor": 2}), "`rope_type` is yarn"),
    "dynamic rotation": (config(rope_scaling={"type": "dynamic"}), "`rope_type` is dynamic"),
    "a rotation that is a list": (config(rope_scaling=[1]), "`rope_scaling` is [1]"),
    "a rotation of factor 0": (
        config(rope_scaling={"rope_type": "linear", "factor": 0}),
        "`rotary_factor` is 0",
    ),
    "half a rotation": (config(partial_rotary_factor=0.5), "`partial_rotary_factor` is 0.5"),
    "another activation": (config(hidden_act="relu"), "`hidden_act` is relu"),
    "a config that is a list": (writes("config.json", b"[1]"), "config.json"),
    "a config without end": (writes("config.json", DEEP), "config.json"),
    "a tokenizer without end": (writes("tokenizer.json", DEEP), "not JSON"),
    "an empty tokenizer": (writes("tokenizer.json", b""), "tokenizer.json"),
    "no tokenizer": (without("tokenizer.json"), "There is no tokenizer at"),
    "no weights": (without(WEIGHTS), "has no model.safetensors"),
    "a tokenizer of another model": (config(vocab_size=260), "tensor `"),
    "a header without end": (writes(WEIGHTS, struct.pack("<Q", 2**62) + b"{}"), WEIGHTS),
    "a header longer than the file": (writes(WEIGHTS, struct.pack("<Q", 99) + b"{}"), WEIGHTS),
    "a header of the size 0": (writes(WEIGHTS, bytes(8)), WEIGHTS),
    "an empty file": (writes(WEIGHTS, b""), WEIGHTS),
    "a header that is a list": (writes(WEIGHTS, header([1])), "its header is not a table"),
    "a header without bottom": (writes(WEIGHTS, struct.pack("<Q", len(DEEP)) + DEEP), WEIGHTS),
    "a tensor beyond the file": (writes(WEIGHTS, header({"a": BIG}, data=bytes(4))), "tensor `a`"),
    "tensors that overlap": (writes(WEIGHTS, header(TWO, data=bytes(6))), "overlaps another"),
    "ten thousand tensors": (writes(WEIGHTS, header(MANY)), "tensor `"),
    "a tensor too many": (
        tensors(lambda found: found.update({"evil.weight": torch.zeros(1)})),
        "tensor `evil.weight`: the file has (1,), and config.json asks for none",
    ),
    "a tensor too few": (
        tensors(lambda found: found.pop("model.norm.weight")),
        "tensor `model.norm.weight`: the file has no such tensor",
    ),
    "a tensor of another shape": (
        tensors(lambda found: found.update({"model.norm.weight": torch.zeros(9)})),
        "the file has (9,), and config.json asks for (8,)",
    ),
    "whole numbers for weights": (
        tensors(
            lambda found: found.update({"model.norm.weight": torch.zeros(8, dtype=torch.int8)})
        ),
        "holds torch.int8, no real numbers",
    ),
    "weights that are no numbers": (spoiled(float("nan")), "numbers that are not finite"),
    "weights without bound": (spoiled(float("inf")), "numbers that are not finite"),
    "an index out of the folder": (index("../model.safetensors"), "names what is no file of this"),
    "an index to the root": (index("/etc/passwd"), "names what is no file of this folder"),
    "an index with a NUL": (index("a\0.safetensors"), "names what is no file of this folder"),
    "an index of a backslash": (index("..\\a.safetensors"), "names what is no file of this folder"),
    "an index of dots": (index(".."), "names what is no file of this folder"),
    "an index to a pickle": (index("pytorch_model.bin"), "names what is no file of this folder"),
    "an index to nothing": (index("gone.safetensors"), "has no gone.safetensors"),
    "an index of long names": (index("a" * 300 + ".safetensors"), "names what is no file of this"),
    "an index of numbers": (
        writes("model.safetensors.index.json", b'{"weight_map": {"a": 1}}'),
        "names what is no file of this folder",
    ),
    "linked weights": (links(WEIGHTS, "moved"), "a link, which may lead anywhere"),
    "a linked config": (links("config.json", "moved"), "a link, which may lead anywhere"),
    "a tokenizer that is /etc/passwd": (
        links("tokenizer.json", "/etc/passwd"),
        "a link, which may",
    ),
    "weights without end": (links(WEIGHTS, "/dev/zero"), "a link, which may lead anywhere"),
    "weights that are a pipe": (pipes(WEIGHTS), "not a regular file"),
    "a template that is a number": (
        lambda folder: (
            without("chat_template.jinja")(folder),
            writes("tokenizer_config.json", b'{"chat_template": 7}')(folder),
        ),
        "its chat template is no text",
    ),
}


@pytest.mark.parametrize(("damage", "says"), REFUSED.values(), ids=REFUSED)
def test_a_damaged_or_hostile_folder_is_refused_and_runs_nothing(
    tell: Tell, folder: Path, damage: Damage, says: str
) -> None:
    damage(folder)
    told = tell(f"generate {folder} x max_tokens=1")
    assert told.code == 4
    assert says in told.errors
    assert not CANARY.exists()


GPT2_REFUSED = {
    "scale_attn_weights": False,
    "scale_attn_by_inverse_layer_idx": True,
    "add_cross_attention": True,
    "activation_function": "tanh",
}


@pytest.mark.parametrize("name", GPT2_REFUSED)
def test_an_option_of_gpt2_that_is_not_there_is_named(tell: Tell, name: str) -> None:
    tokenizer = fast.train(["the old fox and the new fox"] * 3, vocab_size=270)
    model = build(SIZES | {"architecture": "gpt"})
    write_folder(Path("hf"), model=model, tokenizer=tokenizer, dtype=torch.float32)
    config(**{name: GPT2_REFUSED[name]})(Path("hf"))
    told = tell("generate hf x max_tokens=1")
    assert told.code == 4
    assert f"`{name}` is {GPT2_REFUSED[name]}" in told.errors


def test_a_sound_folder_is_opened_also_from_the_cache_of_the_hub(tell: Tell, folder: Path) -> None:
    assert tell(f"generate {folder} x max_tokens=1").code == 0
    snapshot = Path("hub/models--toy/snapshots/abc")
    snapshot.mkdir(parents=True)
    (Path("hub/models--toy") / "blobs").mkdir()
    for file in folder.iterdir():
        blob = snapshot.parent.parent / "blobs" / f"0{len(file.name)}{file.name[0]}"
        file.rename(blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    assert tell(f"generate {snapshot} x max_tokens=1").code == 0


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("import nowhere run=r", 4, "there is no model at nowhere"),
        ("import toy run=r", 2, "this is a model of ours already"),
        ("import hf run=toy", 2, "toy: there is a run already"),
        ("export hf to=hf out=texts", 2, "there is something already"),
        ("export hf to=hf out=o dtype=q8_0", 2, "dtype=q8_0 goes with to=gguf"),
        ("export hf to=gguf out=o", 2, "ends in .gguf"),
        ("export hf to=onnx out=o", 2, "to"),
    ],
)
def test_a_mistake_in_importing_or_exporting_is_told(
    tell: Tell, folder: Path, command: str, code: int, says: str
) -> None:
    told = tell(command)
    assert told.code == code
    assert says in told.errors
