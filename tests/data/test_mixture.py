"""From names to sources: what becomes ids, what is found again, and what is refused."""

import json
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cutaway.data import mixture
from cutaway.data.mixture import conversations, prepare, skill_named, texts, written
from cutaway.data.parts import Part
from cutaway.data.sources import ExampleSource, Source, TextSource
from cutaway.errors import ConfigError, DataError
from cutaway.tokenizer.characters import CharacterTokenizer
from cutaway.tokenizer.chat import ChatFormat

LETTERS = CharacterTokenizer(string.printable)
BEGIN = LETTERS.special["<|endoftext|>"]
DOCUMENTS = [f"document {number} says {number * number} and no more" for number in range(80)]


@pytest.fixture
def own_text(tmp_path: Path) -> Path:
    """Documents of the user, one of them twice."""
    path = tmp_path / "own.jsonl"
    lines = [json.dumps({"text": text}) for text in [*DOCUMENTS, DOCUMENTS[0]]]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def own_chat(tmp_path: Path) -> Path:
    """Conversations of the user."""
    path = tmp_path / "chat.jsonl"
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"what is {number}?"},
                    {"role": "assistant", "content": f"it is {number + 1} less one"},
                ]
            }
        )
        for number in range(80)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., list[Source]]:
    def make(parts: Sequence[Part], *, seed: int = 1, row_length: int = 64) -> list[Source]:
        folder = tmp_path / "data"
        return prepare(parts, LETTERS, folder=folder, seed=seed, row_length=row_length)

    return make


def ids_of(source: Source) -> list[list[int]]:
    return [source.shards.document(n).tolist() for n in range(source.shards.num_documents)]


def test_text_becomes_its_training_documents_each_begun_by_a_separator(
    own_text: Path, prepared: Callable[..., list[Source]]
) -> None:
    [source] = prepared([Part(source=str(own_text), share=0.3)])
    training = list(texts(str(own_text), "train"))
    assert isinstance(source, TextSource)
    assert source.share == 0.3
    assert ids_of(source) == [[BEGIN, *LETTERS.encode(text)] for text in training]
    assert source.shards.learned(0).all()


def test_the_splits_share_nothing_and_hold_everything_once(own_text: Path) -> None:
    training = list(texts(str(own_text), "train"))
    held_out = list(texts(str(own_text), "validation"))
    assert sorted([*training, *held_out]) == sorted(DOCUMENTS)
    assert held_out


def test_only_answers_of_a_conversation_are_learned(
    own_chat: Path, prepared: Callable[..., list[Source]]
) -> None:
    [source] = prepared([Part(source=str(own_chat), form="chat")])
    chat, training = ChatFormat(LETTERS), list(conversations(str(own_chat), "train"))
    assert isinstance(source, ExampleSource)
    assert source.shards.num_documents == len(training)
    for number, conversation in enumerate(training):
        expected = chat.encode(conversation)
        assert source.shards.document(number).tolist() == expected.ids
        assert source.shards.learned(number).tolist() == expected.learned
        learned = source.shards.document(number)[expected.learned].tolist()
        assert LETTERS.decode(learned) == conversation.messages[-1].content


def test_conversations_are_split_by_their_words(own_chat: Path) -> None:
    training, held_out = (
        {conversation.messages[0].content for conversation in conversations(str(own_chat), split)}
        for split in ("train", "validation")
    )
    assert held_out
    assert not training & held_out
    assert len(training | held_out) == 80


def test_a_skill_is_made_as_conversations_or_as_text(
    prepared: Callable[..., list[Source]],
) -> None:
    chat, text = prepared(
        [
            Part(source="skill:addition", form="chat", count=20),
            Part(source="skill:addition", form="text", count=20),
        ],
        row_length=400,
    )
    examples = list(skill_named("skill:addition").examples("train", seed=1, count=20))
    assert ids_of(chat) == [
        ChatFormat(LETTERS).encode(example.conversation).ids for example in examples
    ]
    plain = [skill_named("skill:addition").plain(example) for example in examples]
    together = "".join(LETTERS.decode(ids) for ids in ids_of(text))
    assert together == "".join(one.prompt + one.answer for one in plain)
    assert len(ids_of(text)) < 20
    assert not chat.shards.learned(0).all()
    assert text.shards.learned(0).all()


def test_ids_that_were_written_are_found_again(
    own_text: Path, prepared: Callable[..., list[Source]], monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = prepared([Part(source=str(own_text))])

    def never(*given: object, **named: object) -> Any:
        raise AssertionError("written again")

    monkeypatch.setattr(mixture, "write_shards", never)
    [second] = prepared([Part(source=str(own_text), share=0.5)])
    assert second.shards.fingerprint == first.shards.fingerprint


@pytest.mark.parametrize("change", ["seed", "text", "count"])
def test_ids_are_written_anew_when_what_they_come_from_changes(
    change: str, own_text: Path, prepared: Callable[..., list[Source]]
) -> None:
    parts = [
        Part(source=str(own_text)),
        Part(source="skill:addition", form="chat", count=20),
    ]
    before = [source.shards.fingerprint for source in prepared(parts, row_length=400)]
    if change == "text":
        own_text.write_text(own_text.read_text() + json.dumps({"text": "one thing more"}) + "\n")
    if change == "count":
        parts[1] = Part(source="skill:addition", form="chat", count=21)
    seed = 2 if change == "seed" else 1
    after = [source.shards.fingerprint for source in prepared(parts, seed=seed, row_length=400)]
    assert (before[0] == after[0]) == (change != "text")
    assert (before[1] == after[1]) == (change == "text")


def test_damaged_ids_are_written_anew(
    own_text: Path, prepared: Callable[..., list[Source]], tmp_path: Path
) -> None:
    [first] = prepared([Part(source=str(own_text))])
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file() and path.suffix != ".json":
            path.write_bytes(path.read_bytes()[:-2])
    [second] = prepared([Part(source=str(own_text))])
    assert second.shards.fingerprint == first.shards.fingerprint
    assert ids_of(second) == [
        [BEGIN, *LETTERS.encode(text)] for text in texts(str(own_text), "train")
    ]


def test_examples_that_no_row_can_hold_are_left_out(
    own_chat: Path, prepared: Callable[..., list[Source]]
) -> None:
    [source] = prepared([Part(source=str(own_chat), form="chat")])
    lengths = source.shards.lengths
    maker: Any = source.open(row_length=int(lengths.max()) - 2, seed=1)
    assert maker.num_dropped == int((lengths == lengths.max()).sum())
    assert maker.num_tokens == int((lengths - 1)[lengths < lengths.max()].sum())


def test_a_tokenizer_learns_from_every_part(own_text: Path, own_chat: Path) -> None:
    parts = [
        Part(source=str(own_text)),
        Part(source=str(own_chat), form="chat"),
        Part(source="skill:addition", form="chat", count=5),
    ]
    found = list(written(parts, seed=1))
    training = len(list(texts(str(own_text), "train")))
    talks = len(list(conversations(str(own_chat), "train")))
    assert len(found) == training + talks + 5
    assert found[training].startswith("what is")
    held_out = set(texts(str(own_text), "validation"))
    assert not held_out & set(found)


def test_a_part_without_a_share_is_not_read(own_text: Path, prepared: Callable[..., Any]) -> None:
    sources = prepared([Part(source=str(own_text)), Part(source="no/such/file", share=0.0)])
    assert [source.name for source in sources] == [f"{own_text} as text"]


def test_short_texts_are_told_with_what_a_row_takes(
    own_text: Path, prepared: Callable[..., list[Source]]
) -> None:
    with pytest.raises(DataError, match=r"has \d+ tokens of training text, but a row takes 9001"):
        prepared([Part(source=str(own_text))], row_length=9000)


@pytest.mark.parametrize(
    ("parts", "kind", "told"),
    [
        ([], ConfigError, "the mixture has no part"),
        ([Part(source="basic-english", share=0.0)], ConfigError, "every share .* is 0"),
        ([Part(source="no/such/folder")], DataError, "neither a corpus nor a file or folder"),
        ([Part(source="basic-englsh")], DataError, "did you mean 'basic-english'"),
        ([Part(source="skill:adition")], ConfigError, "did you mean skill:addition"),
        ([Part(source="basic-english", form="chat")], ConfigError, "holds no conversations"),
    ],
)
def test_what_cannot_be_read_is_named(
    parts: list[Part],
    kind: type[Exception],
    told: str,
    prepared: Callable[..., list[Source]],
) -> None:
    with pytest.raises(kind, match=told):
        prepared(parts)


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"share": -0.1}, "share -0.1 of text"), ({"count": 0}, "count 0 of text makes nothing")],
)
def test_a_part_out_of_range_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Part(source="text", **settings)
