"""What stands beside tokenizer.json: which ids begin and end a text, and the chat template."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cutaway.errors import CheckpointError
from cutaway.tokenizer.base import END_OF_TEXT, PADDING, Customs, Tokenizer
from cutaway.tokenizer.chat import CHAT_TEMPLATE
from cutaway.tokenizer.template import LARGEST_TEMPLATE

Read = Callable[[str], bytes | None]
"""The content of a file of the folder by its name; None: there is none."""

WORDS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "pad_token",
    "cls_token",
    "sep_token",
    "mask_token",
)
"""What templates, and the classes of `transformers`, call control tokens."""


def with_customs(tokenizer: Tokenizer, *, read: Read, place: str) -> Tokenizer:
    """The tokenizer with what the other files of its folder say.

    Raises:
        CheckpointError: a file is not what it should be.
    """
    config = read_table(read, "tokenizer_config.json", place=place)
    template = _template(read, config, place=place)
    if {END_OF_TEXT, PADDING} <= tokenizer.special.keys() and template in (None, CHAT_TEMPLATE):
        return tokenizer  # one of our own
    words = _words(config, tokenizer)
    ids = {
        word: tokenizer.special[name] for word, name in words.items() if _is_known(tokenizer, name)
    }
    first = _first_id(read_table(read, "tokenizer.json", place=place))
    if first is None and config.get("add_bos_token") is True:
        first = ids.get("bos_token")
    stop_ids = _stop_ids(read, tokenizer, place=place)
    if "eos_token" in ids:
        stop_ids |= {ids["eos_token"]}
    begins = (first, ids.get("bos_token"), *sorted(stop_ids), tokenizer.customs.begin_id)
    return tokenizer.following(
        Customs(
            begin_id=next((each for each in begins if each is not None), None),
            prompts_begin=first is not None,
            stop_ids=frozenset(stop_ids),
            template=template,
            words=words,
        )
    )


def read_table(read: Read, name: str, *, place: str) -> dict[str, Any]:
    """A JSON file that holds a table; empty where there is no such file.

    Raises:
        CheckpointError: it is something else.
    """
    content = read(name)
    if content is None:
        return {}
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{place}/{name}: not JSON: {str(error)[:200]}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{place}/{name}: not a table of settings")
    return found


def _template(read: Read, config: Mapping[str, Any], *, place: str) -> str | None:
    """The chat template: a file of its own, or in the config, alone or as one of several."""
    content = read("chat_template.jinja")
    found: Any = config.get("chat_template")
    if content is not None:
        found = content.decode("utf-8", errors="replace")
    if isinstance(found, list):
        named = [each for each in found if isinstance(each, dict) and each.get("name") == "default"]
        found = named[0].get("template") if named else None
    if found is None:
        return None
    if not isinstance(found, str) or len(found) > LARGEST_TEMPLATE:
        raise CheckpointError(
            f"{place}: its chat template is no text of up to {LARGEST_TEMPLATE:,} characters"
        )
    return found


def _words(config: Mapping[str, Any], tokenizer: Tokenizer) -> dict[str, str]:
    """`bos_token` and the others, with the names of their tokens."""
    found = {}
    for word in WORDS:
        value = config.get(word)
        name = value.get("content") if isinstance(value, dict) else value
        if isinstance(name, str):
            found[word] = name
    return found


def _is_known(tokenizer: Tokenizer, name: str) -> bool:
    return name in tokenizer.special


def _first_id(content: Mapping[str, Any]) -> int | None:
    """The id that the file's post-processor puts before a text, if any."""
    for step in _processors(content.get("post_processor")):
        match step:
            case {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": str(name)}}, *_],
            }:
                match step.get("special_tokens"):
                    case dict(known) if isinstance(known.get(name), dict):
                        ids = known[name].get("ids")
                        if isinstance(ids, list) and ids and isinstance(ids[0], int):
                            return ids[0]
    return None


def _processors(tree: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for each in tree.get("processors") or ():
            yield from _processors(each)


def _stop_ids(read: Read, tokenizer: Tokenizer, *, place: str) -> set[int]:
    """What ends a text by the model's own word, of ids that the tokenizer has."""
    found: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        value = read_table(read, name, place=place).get("eos_token_id")
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int) and 0 <= each < tokenizer.vocab_size:
                found.add(each)
    return found
