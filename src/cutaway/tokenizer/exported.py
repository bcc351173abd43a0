"""The files beside tokenizer.json by which `transformers` knows control tokens and how to chat."""

import json

from cutaway.tokenizer import wordpiece
from cutaway.tokenizer.base import ASSISTANT, END, END_OF_TEXT, PADDING, Customs, Tokenizer
from cutaway.tokenizer.chat import CHAT_TEMPLATE
from cutaway.tokenizer.wordpiece import FIRST


def huggingface_files(tokenizer: Tokenizer, *, context_length: int) -> dict[str, bytes]:
    """Makes `tokenizer_config.json`, and `chat_template.jinja` where the tokenizer can chat.

    An answer ends with `<|end|>`; a tokenizer without it ends with `<|endoftext|>`.
    """
    special, customs = tokenizer.special, tokenizer.customs
    if customs.words:
        return _as_imported(customs, context_length=context_length)
    ends = END if END in special else END_OF_TEXT
    names = {"bos_token": END_OF_TEXT, "eos_token": ends, "pad_token": PADDING}
    if FIRST in special:
        names = {
            "pad_token": wordpiece.PADDING,
            "cls_token": FIRST,
            "sep_token": wordpiece.SEPARATOR,
            "mask_token": wordpiece.MASK,
        }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        **{role: name for role, name in names.items() if name in special},
        # What stands for the unknown comes from texts, so it is none of the control tokens.
        **({"unk_token": wordpiece.UNKNOWN} if FIRST in special else {}),
    }
    files = {"tokenizer_config.json": (json.dumps(config, indent=2) + "\n").encode()}
    if ASSISTANT in special:
        files["chat_template.jinja"] = CHAT_TEMPLATE.encode()
    return files


def _as_imported(customs: Customs, *, context_length: int) -> dict[str, bytes]:
    """The files for a tokenizer that came from elsewhere, in the words that came with it."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": customs.prompts_begin,
        **customs.words,
    }
    generation = {"bos_token_id": customs.begin_id, "eos_token_id": sorted(customs.stop_ids)}
    files = {
        "tokenizer_config.json": (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode(),
        "generation_config.json": (json.dumps(generation, indent=2) + "\n").encode(),
    }
    if customs.template is not None:
        files["chat_template.jinja"] = customs.template.encode()
    return files
