"""The files beside tokenizer.json by which `transformers` knows control tokens and how to chat."""

import json

from cutaway.tokenizer.base import ASSISTANT, END, END_OF_TEXT, PADDING, Tokenizer
from cutaway.tokenizer.chat import CHAT_TEMPLATE


def huggingface_files(tokenizer: Tokenizer, *, context_length: int) -> dict[str, bytes]:
    """Makes `tokenizer_config.json`, and `chat_template.jinja` where the tokenizer can chat.

    An answer ends with `<|end|>`; a tokenizer without it ends with `<|endoftext|>`.
    """
    special = tokenizer.special
    ends = END if END in special else END_OF_TEXT
    names = {"bos_token": END_OF_TEXT, "eos_token": ends, "pad_token": PADDING}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "clean_up_tokenization_spaces": False,
        **{role: name for role, name in names.items() if name in special},
    }
    files = {"tokenizer_config.json": (json.dumps(config, indent=2) + "\n").encode()}
    if ASSISTANT in special:
        files["chat_template.jinja"] = CHAT_TEMPLATE.encode()
    return files
