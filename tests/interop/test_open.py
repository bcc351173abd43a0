"""Opening a model: the same function as was saved, and every refusal with its reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cutaway.errors import CheckpointError, UsageError
from cutaway.interop import peft
from cutaway.interop.building import model_from
from cutaway.interop.open import open_model
from cutaway.models.catalog import CATALOG, describe
from cutaway.nn.lora import adapters, apply_lora

TOKENS = torch.arange(12)[None]


DECODERS = sorted(name for name, kind in CATALOG.items() if kind.kind == "decoder")


@pytest.mark.parametrize("architecture", DECODERS)
def test_a_checkpoint_opens_as_the_function_that_was_saved(
    architecture: str, toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    model = toy(architecture)
    opened = open_model(saved(model, tmp_path))
    assert opened.model(TOKENS).equal(model(TOKENS))
    assert opened.source.kind == "checkpoint"
    assert opened.source.architecture == architecture
    assert opened.source.num_parameters == sum(weight.numel() for weight in model.parameters())


def test_a_run_opens_at_its_newest_checkpoint(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    saved(toy(seed=1), tmp_path, step=3)
    newest = toy(seed=2)
    path = saved(newest, tmp_path, step=12, stage="finetune")
    opened = open_model(tmp_path)
    assert opened.model(TOKENS).equal(newest(TOKENS))
    assert opened.source.checkpoint == path
    assert (opened.source.kind, opened.source.step) == ("run", 12)
    assert opened.source.can_chat


def test_a_damaged_checkpoint_is_passed_over_and_told(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    saved(toy(), tmp_path, step=3)
    damaged = saved(toy(), tmp_path, step=4) / "model.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    opened = open_model(tmp_path)
    assert opened.source.step == 3
    assert "SHA-256" in opened.source.passed_over[0]


def test_a_run_without_a_good_checkpoint_says_why(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    (saved(toy(), tmp_path) / "config.json").write_bytes(b"{}")
    with pytest.raises(CheckpointError, match=r"no good checkpoint:\n.*config.json"):
        open_model(tmp_path)


def test_a_run_that_has_saved_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match="has not saved one yet"):
        open_model(tmp_path)


def test_an_opened_model_rests(toy: Any, saved: Callable[..., Path], tmp_path: Path) -> None:
    assert not open_model(saved(toy("gpt", dropout=0.5), tmp_path)).model.training


def test_a_path_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    with pytest.raises(CheckpointError, match=r"no model at .*demi; did you mean .*demo\?"):
        open_model(tmp_path / "demi")


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="a file, not a model"):
        open_model(tmp_path / "model.safetensors")


def test_a_folder_of_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"neither a run .* nor a checkpoint"):
        open_model(tmp_path)


def test_a_config_of_nobody_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"kind": "llama"}')
    with pytest.raises(CheckpointError, match="so it is no Hugging Face folder"):
        open_model(tmp_path)


def test_an_unknown_device_is_told(toy: Any, saved: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="device=toaster"):
        open_model(saved(toy(), tmp_path), device="toaster")


def test_a_checkpoint_without_its_tokenizer_is_refused(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    path = saved(toy(), tmp_path, files={"tokenizer.json": None})
    with pytest.raises(CheckpointError, match=r"names no tokenizer\.json"):
        open_model(path)


def test_the_tokenizer_of_a_larger_model_is_refused(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    path = saved(toy(vocab_size=50), tmp_path)
    with pytest.raises(CheckpointError, match=r"106 tokens and the model knows 50;\n.*another"):
        open_model(path)


def test_weights_of_another_size_are_refused(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    model = toy()
    config = json.dumps(describe(model) | {"width": 32}).encode()
    path = saved(model, tmp_path, files={"config.json": config})
    with pytest.raises(CheckpointError, match=r"weight 'embedding.weight': .*\(106, 16\)"):
        open_model(path)


def test_weights_of_another_architecture_are_refused(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    config = json.dumps(describe(toy("gpt"))).encode()
    path = saved(toy("llama"), tmp_path, files={"config.json": config})
    with pytest.raises(CheckpointError, match="another architecture or size"):
        open_model(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"architecture": "gpt5"}, "unknown architecture 'gpt5'"),
        ({"architecture": None}, "unknown architecture 'None'"),
        ({"architecture": ["llama"]}, "unknown architecture"),
        ({"architecture": "os.system"}, "unknown architecture"),
        ({"architecture": None, "model_type": "qwen3"}, "Hugging Face config of type 'qwen3'"),
        ({"widht": 16}, "`widht` is no setting of llama"),
        ({"auto_map": {"AutoModel": "evil.py"}}, "`auto_map` is no setting"),
        ({"width": None}, "`width` is None"),
        ({"width": "16"}, "`width` is 16"),
        ({"width": 16.5}, "`width` is 16.5"),
        ({"width": True}, "`width` is True"),
        ({"width": 0}, "`width` is 0, but allowed is 1 to"),
        ({"width": -16}, "`width` is -16, but allowed"),
        ({"num_heads": 0}, "`num_heads` is 0, but allowed is 1 to"),
        ({"num_layers": 10**9}, "`num_layers` is 1000000000, but allowed is 1 to 1,024"),
        ({"context_length": 10**12}, "`context_length` is 1000000000000, but allowed"),
        ({"rotary_base": float("nan")}, "`rotary_base` is nan"),
        ({"num_heads": 3}, "num_heads 3 does not divide width 16"),
        ({"num_key_value_heads": 3}, "3 key/value heads"),
    ],
)
def test_a_config_out_of_bounds_is_refused(change: dict[str, Any], told: str, toy: Any) -> None:
    settings = describe(toy()) | change
    with pytest.raises(CheckpointError, match=told) as error:
        model_from(settings, place="config.json")
    assert str(error.value).startswith("config.json: ")


def test_a_missing_size_is_told(toy: Any) -> None:
    settings = describe(toy())
    del settings["num_layers"]
    with pytest.raises(CheckpointError, match="`num_layers` is missing"):
        model_from(settings, place="config.json")


def test_a_config_that_is_no_table_is_refused(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    path = saved(toy(), tmp_path, files={"config.json": b"[1, 2]"})
    with pytest.raises(CheckpointError, match="not a table of settings"):
        open_model(path)


def adapted(model: nn.Module) -> nn.Module:
    """The model with adapters that change it."""
    apply_lora(model, targets=["*.query_projection", "*.down"], rank=2, alpha=4.0)
    for _, part in adapters(model):
        nn.init.normal_(part.lora_b, generator=torch.Generator().manual_seed(5))
    return model


def test_an_adapter_opens_on_top_of_its_base(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    base = saved(toy(), tmp_path / "base")
    model = adapted(toy())
    peft.save_adapter(model, tmp_path / "adapter", base=base)
    opened = open_model(tmp_path / "adapter")
    torch.testing.assert_close(opened.model(TOKENS), model(TOKENS))
    assert opened.source.kind == "adapter"
    assert opened.source.checkpoint == base
    assert opened.source.can_chat


def test_a_checkpoint_with_adapters_inside_opens_with_their_change(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    model = adapted(toy())
    lora = {"targets": ["*.query_projection", "*.down"], "rank": 2, "alpha": 4}
    config = json.dumps(describe(model) | {"lora": lora}).encode()
    opened = open_model(saved(model, tmp_path, files={"config.json": config}))
    torch.testing.assert_close(opened.model(TOKENS), model(TOKENS))
    assert opened.source.num_parameters == sum(weight.numel() for weight in toy().parameters())


@pytest.mark.parametrize(
    ("lora", "told"),
    [
        (7, "`lora` is not a table"),
        ({"targets": "down", "rank": 2, "alpha": 4}, "`lora` is not a table"),
        ({"targets": ["*.down"], "rank": 0, "alpha": 4}, "rank is 0"),
        ({"targets": ["nothing"], "rank": 2, "alpha": 4}, "no linear map is called 'nothing'"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(lora: object, told: str, toy: Any) -> None:
    with pytest.raises(CheckpointError, match=told):
        model_from(describe(toy()) | {"lora": lora}, place="config.json")


def test_a_source_is_told_in_a_line(toy: Any, saved: Callable[..., Path], tmp_path: Path) -> None:
    told = open_model(saved(toy(), tmp_path).parent.parent).source.told()
    assert told == f"{tmp_path}: llama, 7,312 parameters, pretrain, step 7"


def test_an_adapter_on_other_weights_is_refused(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    base = saved(toy(), tmp_path / "base")
    peft.save_adapter(adapted(toy()), tmp_path / "adapter", base=base)
    saved(toy(seed=9), tmp_path / "base")
    with pytest.raises(CheckpointError, match="trained on other weights"):
        open_model(tmp_path / "adapter")


def test_an_adapter_whose_base_is_gone_says_where_it_was(
    toy: Any, saved: Callable[..., Path], tmp_path: Path
) -> None:
    base = saved(toy(), tmp_path / "base")
    peft.save_adapter(adapted(toy()), tmp_path / "adapter", base=base)
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=f"there is no model at {base}"):
        open_model(tmp_path / "adapter")
