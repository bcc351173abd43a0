"""Mistakes in data: each names the file and the line, the row or the byte, and what to do."""

import gzip
import io
import json
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tests.mistakes.conftest import PRETRAIN, QUICK, TOY, Tell

LINES = [json.dumps({"text": f"line {number}"}) for number in range(1, 1001)]
BROKEN = "\n".join([*LINES[:811], '{"text": "never closed', *LINES[812:]]).encode()


def parquet(**columns: list[str]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def chat(**fields: object) -> bytes:
    return (json.dumps({"prompt": "a", "completion": "b"}) + "\n" + json.dumps(fields)).encode()


def messages(*said: tuple[str, str]) -> bytes:
    return chat(messages=[{"role": role, "content": content} for role, content in said])


FILES = {
    "an empty file": ("a.txt", b"", "a.txt holds no text: it is empty", "with some text"),
    "nothing but blanks": ("a.txt", b" \n\t\n", "a.txt holds no text"),
    "one short document": ("a.txt", b"one line", "one document only", "Give more text"),
    "Latin-1": (
        "a.txt",
        b"plain\nna\xefve\n",
        "a.txt:2: not UTF-8: byte 0xef at offset 8",
        "iconv",
    ),
    "UTF-16": ("a.txt", "hello".encode("utf-16"), "offset 0", "it may be UTF-16"),
    "a binary file": ("a.txt", b"text\nand\0 more", "a.txt:2: a NUL character", "Save it as UTF-8"),
    "an unknown ending": ("a.pdf", b"%PDF-1.7", "a.pdf does not end in .txt, .jsonl"),
    "a broken line": ("a.jsonl", BROKEN, "a.jsonl:812: broken JSON: Unterminated", "column 10"),
    "an empty .jsonl": ("a.jsonl", b"\n", "a.jsonl holds no text: it is empty"),
    "no text in an object": ("a.jsonl", b'{"text": "a"}\n{"body": "b"}', 'a.jsonl:2: no "text"'),
    "a number for a text": ("a.jsonl", b'{"text": 5}', '"text" is a number, not a text'),
    "a list for an object": ("a.jsonl", b'["text"]', "a.jsonl:1: this is a list, not an object"),
    "no column": ("a.parquet", parquet(body=["a"]), 'a.parquet has no column "text"', "are body"),
    "no row": ("a.parquet", parquet(text=[]), "a.parquet"),
    "no parquet": ("a.parquet", b"PAR?", "a.parquet is not a whole .parquet file", "Get it again"),
    "no gzip": ("a.jsonl.gz", b'{"text": "a"}', "a.jsonl.gz: the compressed file is damaged"),
    "half a gzip": (
        "a.jsonl.gz",
        gzip.compress("\n".join(LINES).encode())[:1000],
        "the compressed file is damaged",
        "Get it again",
    ),
}

CHATS = {
    "an unknown role": (
        messages(("robot", "a"), ("assistant", "b")),
        'a.jsonl:2: "messages[0].role" is "robot"',
        "Give one of system, user, assistant.",
    ),
    "two questions in a row": (
        messages(("user", "a"), ("user", "b")),
        "a.jsonl:2: message 2 is from the user, where the assistant is due",
    ),
    "an empty message": (
        messages(("user", " "), ("assistant", "b")),
        "a.jsonl:2: message 1 (user) is empty",
    ),
    "no answer": (messages(("user", "a")), "does not end with the assistant", "Add the answer"),
    "an unknown form": (
        chat(question="a", reply="b"),
        'a.jsonl:2: not a conversation; there is "question", "reply"',
        'Give "messages", or "conversations"',
    ),
    "an instruction without output": (chat(instruction="a"), 'a.jsonl:2: no "output"'),
    "a text and a list": (chat(prompt="a", completion=[]), "one is a text and one a list"),
    "no list of messages": (chat(messages="hello"), '"messages" is not a list of objects'),
    "too long for the model": (
        b"\n".join(chat(prompt="word " * 99, completion="b").split(b"\n")[1:]),
        "longer than a row of 32 tokens",
        "a longer context",
    ),
}

TASKS = {
    "half a minimal pair": (b'{"sentence_good": "a"}', "sentence_bad"),
    "an answer that is no choice": (
        b'{"question": "a", "choices": ["x", "y"], "answer": 7}',
        "a.jsonl:1: answer 7 is none of the 2 choices",
        "a letter A to B",
    ),
    "fields that nobody knows": (b'{"foo": "a"}', 'a.jsonl:1: there is "foo"', "minimal pairs"),
}


@pytest.mark.parametrize(
    ("name", "content", "says"), [(m[0], m[1], m[2:]) for m in FILES.values()], ids=FILES
)
@pytest.mark.parametrize("command", ["data check {}", f"pretrain data={{}} run=r {TOY} {QUICK}"])
def test_what_is_wrong_in_a_text_is_told_with_its_place(
    tell: Tell, command: str, name: str, content: bytes, says: tuple[str, ...]
) -> None:
    Path(name).write_bytes(content)
    told = tell(command.format(name))
    assert told.code == 3
    for fragment in says:
        assert fragment in told.errors


@pytest.mark.parametrize(("content", "says"), [(m[0], m[1:]) for m in CHATS.values()], ids=CHATS)
def test_what_is_wrong_in_a_conversation_is_told_with_its_line(
    tell: Tell, content: bytes, says: tuple[str, ...]
) -> None:
    Path("a.jsonl").write_bytes(content)
    told = tell(f"finetune toy data=a.jsonl run=r {QUICK}")
    assert told.code == 3
    for fragment in says:
        assert fragment in told.errors


CLASSES = {
    "one class only": (b"text,label\na,x\nb,x\n", "from a.csv:2 on has 'x', one class only"),
    "a class of two texts": (
        b"text,label\n" + b"".join(b"a%d,x\nb%d,y\n" % (n, n) for n in range(5)) + b"c,z\nd,z\n",
        "a.csv:12: the label 'z' has 2 text(s), and needs 3",
        "Give more texts of it",
    ),
    "an empty side": (b"text,text_b,label\na,b,x\na, ,y\n", 'a.csv:3: "text_b" is empty'),
    "no label": (b"text,class\na,x\n", 'a.csv:2: no "label"; there is "text", "class"'),
    "a text longer than the model": (
        b"text,label\n"
        + b"".join(b"a %d,x\nb %d,y\n" % (n, n) for n in range(9))
        + b"king " * 60
        + b",x\n",
        "a.csv:20: a text of ",
        "and the model reads 31 beside the 1 around",
        "classes.too_long=cut",
    ),
}


@pytest.mark.parametrize(
    ("content", "says"), [(m[0], m[1:]) for m in CLASSES.values()], ids=CLASSES
)
def test_what_is_wrong_in_rows_of_classes_is_told_with_its_line(
    tell: Tell, content: bytes, says: tuple[str, ...]
) -> None:
    Path("a.csv").write_bytes(content)
    told = tell(f"finetune toy task=classify data=a.csv run=r {QUICK}")
    assert told.code == 3
    for fragment in says:
        assert fragment in told.errors


def test_a_label_never_seen_is_told_with_its_line(tell: Tell) -> None:
    rows = "".join(f"the king {n},x\nthe cook {n},y\n" for n in range(9))
    Path("a.csv").write_text("text,label\n" + rows)
    Path("b.csv").write_text("text,label\nthe king,x\nthe dog,z\n")
    told = tell(f"finetune toy task=classify data=a.csv classes.test=b.csv run=r {QUICK}")
    assert told.code == 3
    assert "b.csv:3: the label 'z' was never seen in learning" in told.errors
    assert "Give one of x, y" in told.errors


@pytest.mark.parametrize(("content", "says"), [(m[0], m[1:]) for m in TASKS.values()], ids=TASKS)
def test_what_is_wrong_in_a_file_of_questions_is_told_with_its_line(
    tell: Tell, content: bytes, says: tuple[str, ...]
) -> None:
    Path("a.jsonl").write_bytes(content)
    told = tell("evaluate toy data=a.jsonl")
    assert told.code == 3
    for fragment in says:
        assert fragment in told.errors


@pytest.mark.parametrize(
    "command",
    [
        "pretrain data=basic-englich run=r",
        "tokenizer data=basic-englich run=r",
        "data check basic-englich",
        "finetune toy data=basic-englich run=r",
    ],
)
def test_an_unknown_corpus_is_told_with_the_nearest_name(tell: Tell, command: str) -> None:
    told = tell(command)
    assert told.code == 3
    assert "did you mean 'basic-english'?" in told.errors
    assert "corpora: basic-english, king-james" in told.errors


@pytest.mark.parametrize("content", [None, b"\x89PNG"])
def test_a_folder_without_text_is_told_with_the_endings(tell: Tell, content: bytes | None) -> None:
    Path("mine").mkdir()
    if content is not None:
        Path("mine/picture.png").write_bytes(content)
    told = tell(f"pretrain data=mine run=r {TOY} {QUICK}")
    assert told.code == 3
    assert "the folder mine has no file that ends in .txt, .jsonl, .jsonl.gz or" in told.errors


@pytest.mark.parametrize("key", ["model.context_length", "pacing.row_length"])
def test_a_sequence_longer_than_the_text_is_told_with_both_lengths(tell: Tell, key: str) -> None:
    told = tell(f"pretrain data=texts run=r {TOY} {QUICK} {key}=5000")
    assert told.code == 3
    assert "tokens of training text, but a row takes 5001" in told.errors
    assert "give more text or a smaller model.context_length" in told.errors


def test_a_corpus_of_text_holds_no_conversations(tell: Tell) -> None:
    told = tell(f"finetune toy data=python run=r {QUICK}")
    assert told.code == 2
    assert "python holds no conversations" in told.errors


def test_a_corpus_from_a_folder_of_your_own_says_where_to_get_it(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = tell("pretrain data=tinyshakespeare run=r")
    assert unset.code == 3
    assert "CUTAWAY_DATA is not set" in unset.errors
    assert "get the file: https://github.com/karpathy/char-rnn" in unset.errors
    monkeypatch.setenv("CUTAWAY_DATA", "mine")
    absent = tell("pretrain data=tinyshakespeare run=r")
    assert "mine/tinyshakespeare/input.txt cannot be read" in absent.errors
    Path("mine/tinyshakespeare").mkdir(parents=True)
    Path("mine/tinyshakespeare/input.txt").write_text("another play")
    other = tell("pretrain data=tinyshakespeare run=r")
    assert (absent.code, other.code) == (3, 3)
    assert "is not the file that this corpus was measured on" in other.errors


def test_a_corpus_from_a_package_says_how_to_install_it(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    told = tell("data check digits")
    assert told.code == 3
    assert "scikit-learn, which is not installed" in told.errors
    assert "pip install 'cutaway[corpora]'" in told.errors


def test_a_run_does_not_go_on_with_other_text(tell: Tell) -> None:
    command = PRETRAIN.replace("run=toy", "run=mine")
    assert tell(command).code == 0
    config = Path("mine/config.toml").read_text()
    for path in Path("texts").iterdir():
        path.write_text(path.read_text().replace("river", "sea"))
    told = tell(command)
    assert told.code == 2
    assert "mine holds a run with other text: texts as text" in told.errors
    assert "Give run= another folder" in told.errors
    assert Path("mine/config.toml").read_text() == config
