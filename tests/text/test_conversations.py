"""Four published forms give the same conversations, and each mistake is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutaway.errors import MOST_LINES, DataError, ResourceError
from cutaway.text.conversations import (
    Conversation,
    Message,
    Role,
    read_conversations,
    write_conversations,
)


def said(*contents: str, system: str | None = None) -> Conversation:
    roles: tuple[Role, Role] = ("user", "assistant")
    first = () if system is None else (Message(role="system", content=system),)
    turns = (
        Message(role=roles[number % 2], content=content) for number, content in enumerate(contents)
    )
    return Conversation(messages=(*first, *turns))


def messages(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in pairs]


def read(path: Path, *values: Any) -> list[Conversation]:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return list(read_conversations(path))


FORMS: list[tuple[dict[str, Any], Conversation]] = [
    ({"messages": messages(("user", "hi"), ("assistant", "ho"))}, said("hi", "ho")),
    (
        {
            "messages": messages(
                ("system", "be kind"),
                ("user", "a"),
                ("assistant", "b"),
                ("user", "c"),
                ("assistant", "d"),
            )
        },
        said("a", "b", "c", "d", system="be kind"),
    ),
    ({"instruction": "Add.", "input": "1, 2", "output": "3"}, said("Add.\n\n1, 2", "3")),
    ({"instruction": "Add.", "input": "", "output": "3"}, said("Add.", "3")),
    ({"instruction": "Add.", "output": "3", "system": "s"}, said("Add.", "3", system="s")),
    (
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]},
        said("hi", "ho"),
    ),
    (
        {
            "system": "s",
            "conversations": [{"from": "user", "value": "a"}, {"from": "assistant", "value": "b"}],
        },
        said("a", "b", system="s"),
    ),
    ({"prompt": "hi", "completion": "ho"}, said("hi", "ho")),
    (
        {
            "prompt": messages(("system", "s"), ("user", "hi")),
            "completion": messages(("assistant", "ho")),
        },
        said("hi", "ho", system="s"),
    ),
]


@pytest.mark.parametrize(("given", "expected"), FORMS)
def test_each_form_is_known_by_its_fields(
    given: dict[str, Any], expected: Conversation, tmp_path: Path
) -> None:
    assert read(tmp_path / "a.jsonl", {**given, "id": 7}) == [expected]


def test_lines_arrays_and_folders_give_the_same_conversations(tmp_path: Path) -> None:
    expected = [conversation for _, conversation in FORMS]
    assert read(tmp_path / "a.jsonl", *(given for given, _ in FORMS)) == expected
    (tmp_path / "b.json").write_text(json.dumps([given for given, _ in FORMS], indent=1))
    assert list(read_conversations(tmp_path / "b.json")) == expected
    assert list(read_conversations(tmp_path)) == expected * 2


contents = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1).filter(
    str.strip
)


turns = st.lists(st.tuples(contents, contents), min_size=1, max_size=3)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(given=st.lists(st.tuples(turns, st.none() | contents), min_size=1, max_size=3))
def test_what_was_written_is_read_back(
    given: list[tuple[list[tuple[str, str]], str | None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    conversations = [
        said(*(text for turn in turns for text in turn), system=system) for turns, system in given
    ]
    path = tmp_path_factory.mktemp("said") / "a.jsonl"
    assert write_conversations(conversations, path) == len(conversations)
    assert list(read_conversations(path)) == conversations


def test_a_file_that_cannot_be_written_is_a_resource_error(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="cannot write"):
        write_conversations([said("a", "b")], tmp_path / "nowhere" / "a.jsonl")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"text": "x"}, 'not a conversation; there is "text"'),
        ({"messages": "x"}, '"messages" is not a list of objects'),
        ({"messages": ["x"]}, '"messages" is not a list of objects'),
        ({"messages": []}, "does not end with the assistant"),
        ({"messages": messages(("system", "x"))}, "does not end with the assistant"),
        ({"messages": messages(("user", "x"))}, "does not end with the assistant"),
        ({"messages": messages(("assistant", "x"))}, "message 1 is from the assistant, where the"),
        (
            {"messages": messages(("user", "x"), ("system", "y"), ("assistant", "z"))},
            "message 2 is from the system, where the assistant is due",
        ),
        ({"messages": messages(("tool", "x"))}, r'"messages\[0\].role" is "tool"'),
        ({"messages": [{"role": "user"}]}, r'no "messages\[0\].content"; there is "role"'),
        ({"messages": [{"content": "x"}]}, r'no "messages\[0\].role"'),
        (
            {"messages": messages(("user", "x"), ("assistant", " "))},
            r"message 2 \(assistant\) is empty",
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            r'"messages\[0\].content" is null, not a text',
        ),
        ({"conversations": [{"from": "bot", "value": "x"}]}, r'.from" is "bot"'),
        ({"instruction": "x"}, 'no "output"'),
        ({"instruction": "x", "output": ["y"]}, '"output" is a list, not a text'),
        ({"instruction": "x", "output": ""}, r"message 2 \(assistant\) is empty"),
        ({"prompt": "x", "completion": []}, "one is a text and one a list"),
        ({"prompt": "x", "completion": 7}, '"completion" is a number'),
        ({"prompt": "x"}, "not a conversation"),
        ({"prompt": "a\ud800", "completion": "b"}, "half of a surrogate pair"),
        ({"prompt": "a\0", "completion": "b"}, "NUL"),
        ({"prompt": "x", "completion": "y" * ((1 << 20) + 1)}, "1,048,577 characters"),
        (
            {"messages": messages(("user", "x"), ("assistant", "y")) * 501},
            "1,002 messages; 1,000 are allowed",
        ),
    ],
)
def test_each_mistake_is_named_with_its_line_in_few_lines(
    value: Any, message: str, tmp_path: Path
) -> None:
    good = {"prompt": "hi", "completion": "ho"}
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / "a.jsonl", good, value)
    assert f"{tmp_path / 'a.jsonl'}:2: " in str(caught.value)
    assert 2 <= len(str(caught.value).splitlines()) <= MOST_LINES


def test_an_array_names_the_line_of_its_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n{"prompt": "hi", "completion": "ho"},\n{"prompt": "hi"}\n]')
    with pytest.raises(DataError, match=r"a\.json:3: not a conversation"):
        list(read_conversations(path))


def test_other_endings_empty_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file or folder"):
        list(read_conversations(tmp_path / "nowhere"))
    (tmp_path / "a.txt").write_text("hi")
    with pytest.raises(DataError, match=r"does not end in \.jsonl"):
        list(read_conversations(tmp_path / "a.txt"))
    with pytest.raises(DataError, match=r"has no file that ends in \.jsonl"):
        list(read_conversations(tmp_path))
    with pytest.raises(DataError, match="holds no conversations"):
        read(tmp_path / "a.jsonl")
