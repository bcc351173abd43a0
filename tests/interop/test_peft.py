"""Adapters in peft's files: what we write peft reads, and what peft writes we read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cutaway.errors import CheckpointError
from cutaway.interop.peft import base_of, load_adapter, save_adapter
from cutaway.nn.lora import adapters, apply_lora

TOKENS = torch.arange(12)[None]
LAYOUTS = {
    "all": ["stack.*"],
    "queries and values": ["*.query_projection", "*.value_projection"],
    "one layer": ["stack.blocks.1.attention.*"],
}
# peft reads an attribute that transformers has renamed; neither is ours.
BETWEEN_PEERS = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")


def adapted(model: nn.Module, targets: list[str], *, dropout: float = 0.0) -> nn.Module:
    """The model with adapters that change it; the second round has another rank and scale."""
    generator = torch.Generator().manual_seed(5)
    apply_lora(model, targets=targets, rank=2, alpha=3.0, dropout=dropout, generator=generator)
    for _, part in adapters(model):
        nn.init.normal_(part.lora_b, generator=generator)
    return model.eval()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder that stands for the checkpoint of the base."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("architecture", ["gpt", "llama", "speedrun"])
def test_a_saved_adapter_loads_as_the_same_function(
    architecture: str, layout: str, toy: Any, base: Path, tmp_path: Path
) -> None:
    model = adapted(toy(architecture), LAYOUTS[layout])
    save_adapter(model, tmp_path / "adapter", base=base)
    loaded = toy(architecture)
    places = load_adapter(loaded, tmp_path / "adapter")
    torch.testing.assert_close(loaded(TOKENS), model(TOKENS))
    assert places == [name for name, _ in adapters(model)]
    assert [part.rank for _, part in adapters(loaded)] == [2] * len(places)


def test_adapters_of_different_ranks_and_scales_keep_them(
    toy: Any, base: Path, tmp_path: Path
) -> None:
    model = adapted(toy("gpt"), ["*.query_projection", "stack.blocks.0.feedforward.up"])
    apply_lora(model, targets=["*.value_projection", "*.down"], rank=3, alpha=1.0)
    for _, part in adapters(model):
        nn.init.normal_(part.lora_b, generator=torch.Generator().manual_seed(6))
    save_adapter(model, tmp_path / "adapter", base=base)
    loaded = toy("gpt")
    load_adapter(loaded, tmp_path / "adapter")
    torch.testing.assert_close(loaded(TOKENS), model(TOKENS))


def test_a_fresh_adapter_of_a_fused_matrix_loads_ready_to_learn(
    toy: Any, base: Path, tmp_path: Path
) -> None:
    model = toy("gpt")
    apply_lora(model, targets=["*.query_projection"], rank=2, alpha=3.0)
    save_adapter(model, tmp_path / "adapter", base=base)
    loaded = toy("gpt")
    assert "stack.blocks.0.attention.query_projection" in load_adapter(loaded, tmp_path / "adapter")
    assert loaded(TOKENS).equal(toy("gpt")(TOKENS))


def test_the_files_have_the_names_of_the_hugging_face_class(
    toy: Any, base: Path, tmp_path: Path
) -> None:
    save_adapter(adapted(toy("llama"), ["*.down"]), tmp_path, base=base)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["target_modules"] == ["down_proj"]
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 2, 3.0)
    assert sorted(load_file(tmp_path / "adapter_model.safetensors"))[0] == (
        "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"
    )


def test_the_base_and_its_hash_are_written(toy: Any, base: Path, tmp_path: Path) -> None:
    save_adapter(adapted(toy(), ["*.down"]), tmp_path, base=base)
    assert base_of(tmp_path).path == base.resolve()
    assert len(base_of(tmp_path).sha256 or "") == 64


def test_an_adapter_of_peft_names_its_base_alone(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "some/model"}')
    assert base_of(tmp_path).sha256 is None
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": null}')
    with pytest.raises(CheckpointError, match="names no base model"):
        base_of(tmp_path)


def test_a_model_without_adapters_has_nothing_to_save(toy: Any, base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no LoRA adapters"):
        save_adapter(toy(), tmp_path, base=base)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"peft_type": "LOHA"}, "type 'LOHA'; allowed is LORA"),
        ({"use_dora": True}, "uses use_dora"),
        ({"modules_to_save": ["lm_head"]}, "uses modules_to_save"),
        ({"bias": "all"}, "trains biases"),
        ({"lora_alpha": "big"}, "alpha is big"),
        ({"lora_alpha": -1}, "alpha is -1"),
        ({"alpha_pattern": {"down_proj": None}}, "alpha is None"),
    ],
)
def test_kinds_of_adapters_that_we_do_not_have_are_refused(
    change: dict[str, Any], told: str, toy: Any, base: Path, tmp_path: Path
) -> None:
    save_adapter(adapted(toy(), ["*.down"]), tmp_path, base=base)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=told):
        load_adapter(toy(), tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda tensors: {"hello": torch.zeros(1)}, "'hello' is no part"),
        (lambda tensors: dict(list(tensors.items())[1:]), "only one half"),
        (
            lambda tensors: {
                name.replace("layers.0", "layers.9"): each.clone() for name, each in tensors.items()
            },
            "adapts 'model.layers.9.mlp.down_proj'",
        ),
        (
            lambda tensors: {name: torch.zeros(2, 3) for name in tensors},
            r"shapes \(2, 3\) and \(2, 3\), but its matrix is 16 x 24",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    told: str,
    toy: Any,
    base: Path,
    tmp_path: Path,
) -> None:
    save_adapter(adapted(toy(), ["*.down"]), tmp_path, base=base)
    path = tmp_path / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    with pytest.raises(CheckpointError, match=told):
        load_adapter(toy(), tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_config_that_is_no_table_is_refused(content: bytes, toy: Any, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not JSON|not a table"):
        load_adapter(toy(), tmp_path)


def hugging_face(model: Any) -> Any:
    """The same model as the class of transformers, under the same weights."""
    import transformers

    config, weights = model.config, dict(model.named_parameters(remove_duplicate=False))
    llama = "feedforward.gate" in str(weights.keys())
    sizes: dict[str, Any] = {"vocab_size": config.vocab_size, "bos_token_id": 0, "eos_token_id": 0}
    if llama:
        theirs: Any = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                hidden_size=config.width,
                intermediate_size=config.hidden_width,
                num_hidden_layers=config.num_layers,
                num_attention_heads=config.num_heads,
                num_key_value_heads=config.num_key_value_heads,
                rms_norm_eps=config.norm_epsilon,
                max_position_embeddings=config.context_length,
                **sizes,
            )
        )
    else:
        theirs = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                n_embd=config.width,
                n_layer=config.num_layers,
                n_head=config.num_heads,
                n_positions=config.context_length,
                **sizes,
            )
        )
    theirs.load_state_dict(dict(llama_weights(weights) if llama else gpt2_weights(weights)))
    return theirs.eval()


def llama_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under the names of LlamaForCausalLM."""
    names = {
        "stack.blocks": "model.layers",
        "attention.query_projection": "self_attn.q_proj",
        "attention.key_projection": "self_attn.k_proj",
        "attention.value_projection": "self_attn.v_proj",
        "attention.output_projection": "self_attn.o_proj",
        "feedforward.": "mlp.",
        "gate.": "gate_proj.",
        "up.": "up_proj.",
        "down.": "down_proj.",
        "attention_norm": "input_layernorm",
        "feedforward_norm": "post_attention_layernorm",
        "stack.norm": "model.norm",
        "unembedding": "lm_head",
        "embedding": "model.embed_tokens",
    }
    renamed = {}
    for name, weight in weights.items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        renamed[name] = weight.detach().clone()
    return renamed


def gpt2_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under the names of GPT2LMHeadModel: transposed, and queries to values fused."""
    renamed: dict[str, Tensor] = {}
    names = {
        "attention_norm": "ln_1",
        "feedforward_norm": "ln_2",
        "attention.output_projection": "attn.c_proj",
        "feedforward.up": "mlp.c_fc",
        "feedforward.down": "mlp.c_proj",
    }
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("stack.blocks"))
    for layer in range(layers):
        ours, theirs = f"stack.blocks.{layer}", f"transformer.h.{layer}"
        for kind in ("weight", "bias"):
            fused = torch.cat(
                [
                    weights[f"{ours}.attention.{part}_projection.{kind}"]
                    for part in ("query", "key", "value")
                ]
            )
            renamed[f"{theirs}.attn.c_attn.{kind}"] = fused.T if fused.dim() == 2 else fused
            for own, other in names.items():
                weight = weights[f"{ours}.{own}.{kind}"]
                renamed[f"{theirs}.{other}.{kind}"] = weight.T if weight.dim() == 2 else weight
    renamed["transformer.wte.weight"] = weights["embedding.weight"]
    renamed["transformer.wpe.weight"] = weights["position.weight"]
    renamed["transformer.ln_f.weight"] = weights["stack.norm.weight"]
    renamed["transformer.ln_f.bias"] = weights["stack.norm.bias"]
    renamed["lm_head.weight"] = weights["unembedding.weight"]
    return {name: weight.detach().clone() for name, weight in renamed.items()}


@pytest.mark.peer
@BETWEEN_PEERS
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("architecture", ["gpt", "llama"])
def test_peft_reads_what_we_write(
    architecture: str, layout: str, toy: Any, base: Path, tmp_path: Path
) -> None:
    import peft

    model = adapted(toy(architecture), LAYOUTS[layout])
    save_adapter(model, tmp_path / "adapter", base=base)
    theirs = hugging_face(toy(architecture))
    torch.testing.assert_close(theirs(TOKENS).logits, toy(architecture)(TOKENS))
    theirs = peft.PeftModel.from_pretrained(theirs, str(tmp_path / "adapter")).eval()
    torch.testing.assert_close(theirs(TOKENS).logits, model(TOKENS))


@pytest.mark.peer
@BETWEEN_PEERS
@pytest.mark.parametrize("use_rslora", [False, True])
@pytest.mark.parametrize(
    ("architecture", "targets"),
    [
        ("gpt", ["c_attn", "c_proj", "c_fc"]),
        ("gpt", ["c_attn"]),
        ("llama", ["q_proj", "v_proj"]),
        ("llama", "all-linear"),
    ],
)
def test_we_read_what_peft_writes(
    architecture: str, targets: Any, use_rslora: bool, toy: Any, tmp_path: Path
) -> None:
    import peft

    config = peft.LoraConfig(
        r=3,
        lora_alpha=5,
        target_modules=targets,
        fan_in_fan_out=architecture == "gpt",
        use_rslora=use_rslora,
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    theirs = peft.get_peft_model(hugging_face(toy(architecture)), config).eval()
    theirs.save_pretrained(str(tmp_path))
    model = toy(architecture)
    load_adapter(model, tmp_path)
    torch.testing.assert_close(model(TOKENS), theirs(TOKENS).logits)


@pytest.mark.peer
@BETWEEN_PEERS
def test_peft_adapts_our_own_module_by_our_own_names(toy: Any, base: Path, tmp_path: Path) -> None:
    import peft

    model = adapted(toy("speedrun"), ["*.query_projection", "*.up"])
    save_adapter(model, tmp_path / "adapter", base=base)
    config = peft.LoraConfig.from_pretrained(str(tmp_path / "adapter"))
    config.task_type = None
    theirs = peft.PeftModel.from_pretrained(
        toy("speedrun"), str(tmp_path / "adapter"), config=config
    )
    torch.testing.assert_close(theirs.eval()(TOKENS), model(TOKENS))
