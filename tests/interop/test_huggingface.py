"""Models of `transformers`, both ways: the same logits, the same text, the same ids."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cutaway.cli import main
from cutaway.errors import UsageError
from cutaway.inference.generate import generate
from cutaway.inference.sampling import Greedy
from cutaway.interop.huggingface import folder
from cutaway.interop.huggingface.configs import config_for, settings_from
from cutaway.interop.open import open_model
from cutaway.models.catalog import build
from cutaway.text.conversations import Conversation, Message
from cutaway.tokenizer import fast
from cutaway.tokenizer.chat import ChatFormat

TEXTS = ["the old fox and the new fox", "a fox in the old town, and 27 more", "new towns 1234"] * 9
TOKENS = torch.randint(60, (2, 17), generator=torch.Generator().manual_seed(0))

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
GPT2_SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "n_positions": 64,
    "n_embd": 24,
    "n_layer": 3,
    "n_head": 3,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
    "rope_theta": 500.0,
}

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", {}),
    "gpt2 with exact gelu": ("GPT2", {"activation_function": "gelu"}),
    "gpt2 with relu": ("GPT2", {"activation_function": "relu"}),
    "gpt2 with silu": ("GPT2", {"activation_function": "silu"}),
    "gpt2 of another inner width": ("GPT2", {"n_inner": 50}),
    "gpt2 of another epsilon": ("GPT2", {"layer_norm_epsilon": 0.1}),
    "gpt2 untied": ("GPT2", {"tie_word_embeddings": False}),
    "llama": ("Llama", {}),
    "llama with one key head": ("Llama", {"num_key_value_heads": 1}),
    "llama with as many key heads": ("Llama", {"num_key_value_heads": 6}),
    "llama with biases": ("Llama", {"attention_bias": True}),
    "llama with biases everywhere": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama of another base": (
        "Llama",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 77.0}},
    ),
    "llama slowed": (
        "Llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 1e4}},
    ),
    "llama 3.1": ("Llama", {"rope_parameters": LLAMA3}),
    "llama with wide heads": ("Llama", {"head_dim": 10}),
    "llama of another epsilon": ("Llama", {"rms_norm_eps": 0.1}),
    "llama tied": ("Llama", {"tie_word_embeddings": True}),
    "mistral": ("Mistral", {"sliding_window": 5}),
    "mistral without a window": ("Mistral", {"sliding_window": None}),
    "qwen2": ("Qwen2", {}),
    "qwen2 with windows": (
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", {"head_dim": 8}),
    "qwen3 with biases": ("Qwen3", {"head_dim": 8, "attention_bias": True}),
    "qwen3 with windows": (
        "Qwen3",
        {"head_dim": 8, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0},
    ),
}

peer = pytest.mark.peer
Make = Callable[[str], Any]


@pytest.fixture(scope="module")
def tokenizer() -> fast.BytePairTokenizer:
    return fast.train(TEXTS, vocab_size=300)


@pytest.fixture(scope="module")
def make(tokenizer: fast.BytePairTokenizer) -> Make:
    """A model of `transformers` with random weights, by its name above."""
    transformers = pytest.importorskip("transformers", reason="the extra `peers` is not installed")

    def made(variant: str) -> Any:
        kind, options = VARIANTS[variant]
        sizes = GPT2_SIZES if kind == "GPT2" else SIZES
        ends = {"bos_token_id": 1, "eos_token_id": 1}
        config = getattr(transformers, f"{kind}Config")(**(sizes | ends | options))
        config._attn_implementation = "eager"
        head = "LMHeadModel" if kind == "GPT2" else "ForCausalLM"
        model = getattr(transformers, f"{kind}{head}")(config)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
        return model.eval()

    return made


def logits_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found = model(TOKENS)
    return found if isinstance(found, torch.Tensor) else found.logits


@peer
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_option_gives_their_logits_and_their_text_both_ways(
    variant: str, make: Make, tokenizer: fast.BytePairTokenizer, tmp_path: Path
) -> None:
    import transformers

    theirs = make(variant)
    theirs.save_pretrained(tmp_path / "in", max_shard_size="20KB")
    tokenizer.save(tmp_path / "in")
    ours = open_model(tmp_path / "in")
    expected = logits_of(theirs)
    assert expected.std() > 0.1
    assert (logits_of(ours.model) - expected).abs().max() < 1e-4

    folder.write_folder(
        tmp_path / "out", model=ours.model, tokenizer=ours.tokenizer, dtype=torch.float32
    )
    again = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", attn_implementation="eager"
    ).eval()
    assert type(again) is type(theirs) or variant == "mistral without a window"
    assert (logits_of(again) - expected).abs().max() < 1e-4

    prompt = TOKENS[0, :7]
    text = again.generate(
        prompt[None],
        attention_mask=torch.ones(1, 7),
        do_sample=False,
        max_new_tokens=20,
        eos_token_id=None,
        pad_token_id=0,
    )[0, 7:].tolist()
    own = generate(ours.model, prompt.tolist(), sampler=Greedy(), max_tokens=20)
    assert own.ids == text


@peer
@pytest.mark.parametrize("kind", ["GPT2", "Llama", "Mistral", "Qwen2", "Qwen3"])
def test_what_a_config_leaves_out_means_what_it_means_to_transformers(kind: str) -> None:
    import transformers

    sizes = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
    sizes = GPT2_SIZES if kind == "GPT2" else sizes | {"num_attention_heads": 32, "hidden_size": 64}
    config = getattr(transformers, f"{kind}Config")
    written = json.loads(config(**sizes).to_json_string(use_diff=False))
    short = {"model_type": config.model_type, **sizes}
    assert settings_from(short, place="here") == settings_from(written, place="here")


@peer
def test_a_model_made_here_opens_there_with_the_same_logits_and_ids(
    tokenizer: fast.BytePairTokenizer, tmp_path: Path
) -> None:
    import transformers

    model = build(
        {
            "architecture": "llama",
            "vocab_size": 320,  # padded
            "context_length": 64,
            "width": 24,
            "num_layers": 2,
            "num_heads": 3,
            "num_key_value_heads": 3,
            "hidden_width": 40,
        }
    ).eval()
    folder.write_folder(tmp_path / "hf", model=model, tokenizer=tokenizer, dtype=torch.float32)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    assert (logits_of(again) - logits_of(model)).abs().max() < 1e-4
    peer_tokenizer = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "hf"))
    for text in [*TEXTS, "Ünï 漢字 🦊\n\n  x", " lead", ""]:
        assert peer_tokenizer(text, add_special_tokens=False).input_ids == tokenizer.encode(text)
    opened = open_model(tmp_path / "hf")
    assert opened.tokenizer.customs == tokenizer.customs


def test_what_no_class_computes_is_not_exported() -> None:
    sizes = {"vocab_size": 9, "context_length": 8, "width": 8, "num_layers": 2, "num_heads": 2}
    for settings, told in (
        ({"architecture": "speedrun"}, "no class that computes what Speedrun does"),
        ({"architecture": "gpt", "norm_placement": "post"}, "norm_placement=post"),
        ({"architecture": "gpt", "window": 4}, "window=4"),
        (
            {
                "architecture": "llama",
                "num_key_value_heads": 2,
                "hidden_width": 8,
                "output_bias": True,
            },
            "output_bias=True",
        ),
    ):
        with pytest.raises(UsageError, match=told):
            config_for(build(sizes | settings))


@peer
def test_a_folder_becomes_a_run_that_goes_on_as_the_folder_does(
    make: Make, tokenizer: fast.BytePairTokenizer, tmp_path: Path, capsys: Any
) -> None:
    make("llama tied").save_pretrained(tmp_path / "in")
    tokenizer.save(tmp_path / "in")
    assert main(["import", str(tmp_path / "in"), f"run={tmp_path / 'run'}"]) == 0
    assert main(["import", str(tmp_path / "in"), f"run={tmp_path / 'run'}"]) == 2
    capsys.readouterr()
    written = []
    for model in ("in", "run"):
        words = [str(tmp_path / model), "the old fox", "temperature=0", "max_tokens=8"]
        assert main(["generate", *words]) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1] != ""
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "run"), "to=hf", f"out={out}", "dtype=bf16"]) == 0
    assert main(["export", str(tmp_path / "run"), f"out={out}"]) == 2
    assert open_model(out).source.kind == "huggingface"


CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@peer
def test_an_imported_model_chats_in_the_ids_of_its_template(make: Make, tmp_path: Path) -> None:
    import transformers
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

    backend = Backend(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(TEXTS, trainer)
    backend.add_special_tokens(["<|begin|>", "<|im_start|>", "<|im_end|>"])
    begin = backend.token_to_id("<|begin|>")
    backend.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", begin)]
    )
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|begin|>", eos_token="<|im_end|>"
    )
    theirs.chat_template = CHATML
    make("qwen2").save_pretrained(tmp_path)
    theirs.save_pretrained(tmp_path)
    opened = open_model(tmp_path)
    assert opened.source.can_chat
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "The fox?\n"}]
    expected = theirs.apply_chat_template(said, add_generation_prompt=True, return_dict=False)
    talk = Conversation(messages=tuple(Message(**each) for each in said))
    assert ChatFormat(opened.tokenizer).prompt(talk) == expected
    assert backend.token_to_id("<|im_end|>") in ChatFormat(opened.tokenizer).stop_ids
    assert opened.tokenizer.prompt("the fox") == theirs("the fox").input_ids

    assert main(["import", str(tmp_path), f"run={tmp_path / 'run'}"]) == 0
    run = open_model(tmp_path / "run")
    assert run.source.can_chat
    assert run.tokenizer.customs == opened.tokenizer.customs
    assert main(["export", str(tmp_path / "run"), f"out={tmp_path / 'out'}"]) == 0
    again = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "out"))
    assert (
        again.apply_chat_template(said, add_generation_prompt=True, return_dict=False) == expected
    )
    assert again("the fox").input_ids == theirs("the fox").input_ids
