"""A folder that `transformers` opens as a tokenizer that chats as ours does."""

import json
from pathlib import Path

import pytest

from cutaway.text.conversations import Conversation, Message
from cutaway.tokenizer import characters
from cutaway.tokenizer.chat import ChatFormat
from cutaway.tokenizer.exported import huggingface_files
from cutaway.tokenizer.fast import BytePairTokenizer


def test_a_tokenizer_without_markers_has_no_chat_template():
    files = huggingface_files(characters.train(["ab"], special=()), context_length=64)
    assert list(files) == ["tokenizer_config.json"]
    assert "eos_token" not in json.loads(files["tokenizer_config.json"])


def test_an_answer_ends_with_its_marker(tokenizer: BytePairTokenizer):
    config = json.loads(huggingface_files(tokenizer, context_length=64)["tokenizer_config.json"])
    assert (config["eos_token"], config["pad_token"]) == ("<|end|>", "<|padding|>")
    assert config["model_max_length"] == 64


@pytest.mark.peer
def test_transformers_chats_in_the_same_ids(tokenizer: BytePairTokenizer, tmp_path: Path):
    transformers = pytest.importorskip("transformers", reason="the extra `peers` is not installed")
    tokenizer.save(tmp_path)
    for name, content in huggingface_files(tokenizer, context_length=64).items():
        (tmp_path / name).write_bytes(content)
    peer = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    said = {"system": "Be brief.", "user": "What is 2 + 2?\n"}
    ids = peer.apply_chat_template(
        [{"role": role, "content": content} for role, content in said.items()],
        add_generation_prompt=True,
        return_dict=False,
    )
    conversation = Conversation(
        messages=tuple(
            Message(role=role, content=content)  # type: ignore[arg-type]
            for role, content in said.items()
        )
    )
    assert ids == ChatFormat(tokenizer).prompt(conversation)
    assert peer.decode(ids, skip_special_tokens=True) == "Be brief.What is 2 + 2?\n"
