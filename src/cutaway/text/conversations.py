"""Conversations, read from the four forms in which instruction data is published.

    messages   {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", ...}]}
    Alpaca     {"instruction": "...", "input": "...", "output": "..."}
    ShareGPT   {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", ...}]}
    TRL        {"prompt": "...", "completion": "..."}, both texts or both lists of messages

An instruction and its input are joined by a blank line. "input" may be missing or empty, and so may
"system" in the Alpaca and ShareGPT forms. Other fields are passed over.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cutaway.durable import machine_errors
from cutaway.errors import DataError
from cutaway.text.json_files import (
    Record,
    listed,
    read_json_array,
    read_json_lines,
    reading,
)

Role = Literal["system", "user", "assistant"]

ENDINGS = (".jsonl", ".jsonl.gz", ".json")
"""What a file of conversations may end in."""
MOST_MESSAGES = 1000
"""The most messages of one conversation."""
MOST_CHARACTERS = 1 << 20
"""The most characters of one message."""

_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_SHAREGPT_ROLES: dict[str, Role] = {**_ROLES, "human": "user", "gpt": "assistant"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one side says at a time."""

    role: Role
    """Who speaks."""
    content: str
    """What is said."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Messages in their order."""

    messages: tuple[Message, ...]
    """From the first to the last."""


def read_conversations(path: Path) -> Iterator[Conversation]:
    """Reads conversations to learn from out of a file, or of all such files in a folder.

    A conversation may start with one system message; then user and assistant take turns, the user
    first and the assistant last, and nobody says nothing.
    """
    found = False
    for file in _conversation_files(path):
        read = read_json_array if file.name.lower().endswith(".json") else read_json_lines
        for record in read(file):
            found = True
            yield _conversation(record)
    if not found:
        raise DataError(f"{path} holds no conversations: it is empty\nGive a file with some.")


def write_conversations(conversations: Iterable[Conversation], path: Path) -> int:
    """Writes conversations in the messages form, one a line (.jsonl), and counts them."""
    count = 0
    with machine_errors(f"cannot write {path}"), path.open("w", encoding="utf-8") as file:
        for conversation in conversations:
            messages = [
                {"role": message.role, "content": message.content}
                for message in conversation.messages
            ]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
            count += 1
    return count


def _conversation_files(path: Path) -> list[Path]:
    if path.is_file():
        if not path.name.lower().endswith(ENDINGS):
            raise DataError(
                f"{path} does not end in .jsonl, .jsonl.gz or .json\n"
                "Conversations are read from these; convert it."
            )
        return [path]
    if not path.is_dir():
        raise DataError(f"there is no file or folder {path}\nGive the path of your conversations.")
    with reading(path):
        files = sorted(
            file
            for file in path.rglob("*")
            if file.name.lower().endswith(ENDINGS)
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
    if not files:
        raise DataError(
            f"the folder {path} has no file that ends in .jsonl, .jsonl.gz or .json\n"
            "Put your conversations there, or give another folder."
        )
    return files


def _conversation(record: Record) -> Conversation:
    """Recognises the form of a record by its fields."""
    fields = record.fields
    if "messages" in fields:
        messages = _messages(record, "messages")
    elif "conversations" in fields:
        messages = [*_system(record), *_sharegpt(record)]
    elif "instruction" in fields:
        messages = [*_system(record), *_alpaca(record)]
    elif "prompt" in fields and "completion" in fields:
        messages = _prompt_and_completion(record)
    else:
        raise DataError(
            f"{record.place}: not a conversation; there is {listed(fields)}\n"
            'Give "messages", or "conversations", or "instruction" and "output", or "prompt" and '
            '"completion".'
        )
    _check(messages, record.place)
    return Conversation(messages=tuple(messages))


def _messages(record: Record, name: str) -> list[Message]:
    return [
        Message(
            role=_role(record, item, label="role", path=path, roles=_ROLES),
            content=record.text("content", within=item, path=path),
        )
        for path, item in _items(record, name)
    ]


def _sharegpt(record: Record) -> list[Message]:
    return [
        Message(
            role=_role(record, item, label="from", path=path, roles=_SHAREGPT_ROLES),
            content=record.text("value", within=item, path=path),
        )
        for path, item in _items(record, "conversations")
    ]


def _alpaca(record: Record) -> list[Message]:
    asked = record.text("instruction")
    if record.fields.get("input"):
        asked += "\n\n" + record.text("input")
    return [
        Message(role="user", content=asked),
        Message(role="assistant", content=record.text("output")),
    ]


def _prompt_and_completion(record: Record) -> list[Message]:
    kinds = {type(record.fields["prompt"]), type(record.fields["completion"])}
    if kinds == {list}:
        return [*_messages(record, "prompt"), *_messages(record, "completion")]
    if kinds == {str, list}:
        raise DataError(
            f'{record.place}: of "prompt" and "completion" one is a text and one a list\n'
            "Give two texts, or two lists of messages."
        )
    return [
        Message(role="user", content=record.text("prompt")),
        Message(role="assistant", content=record.text("completion")),
    ]


def _system(record: Record) -> list[Message]:
    if not record.fields.get("system"):
        return []
    return [Message(role="system", content=record.text("system"))]


def _items(record: Record, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the objects of a list with what messages call them."""
    items = record.fields[name]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise DataError(
            f'{record.place}: "{name}" is not a list of objects\n'
            f'Write it as "{name}": [{{...}}, {{...}}].'
        )
    for number, item in enumerate(items):
        yield f"{name}[{number}]", item


def _role(
    record: Record, item: dict[str, Any], *, label: str, path: str, roles: dict[str, Role]
) -> Role:
    given = record.text(label, within=item, path=path)
    if given not in roles:
        raise DataError(
            f'{record.place}: "{path}.{label}" is "{given[:40]}"\nGive one of {", ".join(roles)}.'
        )
    return roles[given]


def _check(messages: list[Message], place: str) -> None:
    """Holds a conversation to the rules that `read_conversations` states."""
    if len(messages) > MOST_MESSAGES:
        raise DataError(
            f"{place}: {len(messages):,} messages; {MOST_MESSAGES:,} are allowed\nSplit it."
        )
    for number, message in enumerate(messages):
        if not message.content.strip():
            raise DataError(
                f"{place}: message {number + 1} ({message.role}) is empty\n"
                "Leave the conversation out, or say something."
            )
        if len(message.content) > MOST_CHARACTERS:
            raise DataError(
                f"{place}: message {number + 1} has {len(message.content):,} characters; "
                f"{MOST_CHARACTERS:,} are allowed\nShorten it."
            )
    spoken = messages[1:] if messages and messages[0].role == "system" else messages
    wanted: tuple[Role, Role] = ("user", "assistant")
    for number, message in enumerate(spoken):
        if message.role != wanted[number % 2]:
            raise DataError(
                f"{place}: message {len(messages) - len(spoken) + number + 1} is from the "
                f"{message.role}, where the {wanted[number % 2]} is due\n"
                "One system message may come first; then user and assistant take turns."
            )
    if not spoken or spoken[-1].role != "assistant":
        raise DataError(
            f"{place}: the conversation does not end with the assistant: "
            "there is nothing to learn\nAdd the answer."
        )
