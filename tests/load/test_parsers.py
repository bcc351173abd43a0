"""What reads requests, files and settings refuses what is wrong in its own words, and soon."""

import asyncio
import json
import string
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import psutil
import torch
from pydantic import ValidationError
from safetensors.torch import save

from cutaway.devices import describe_machine
from cutaway.errors import CheckpointError, ConfigError, DataError, UsageError
from cutaway.inference.constraint import Grammars
from cutaway.inference.engine import Engine
from cutaway.interop.huggingface.configs import settings_from
from cutaway.models.catalog import build
from cutaway.server.access import Access
from cutaway.server.conversations import ConversationForm
from cutaway.server.entrance import Entrance
from cutaway.server.models import Served
from cutaway.server.protocol import ChatRequest, CompletionRequest, Refused
from cutaway.server.rooms import Rooms
from cutaway.server.settings import Settings
from cutaway.settings import load
from cutaway.stages.serve import Config
from cutaway.tensor_files import check_tensor_file
from cutaway.text.conversations import read_conversations
from cutaway.tokenizer.characters import CharacterTokenizer
from cutaway.tokenizer.open import open_tokenizer
from tests.load.figures import figures, in_two_sizes
from tests.load.inputs import as_json, changed_bytes, changed_tree
from tests.load.test_generated import CHAT, TREE

LETTERS = CharacterTokenizer(string.ascii_letters + string.digits + " .,?!")
MOST_SECONDS = 1.0
"""What no input may take."""


@dataclass(frozen=True, kw_only=True)
class Parser:
    """One way in."""

    name: str
    share: float
    """Of all inputs."""
    read: Callable[[Random], None]
    """Makes an input and reads it."""
    allowed: tuple[type[Exception], ...]
    """How it may refuse."""


def _served() -> Served:
    sizes = {"context_length": 64, "width": 16, "num_layers": 1, "num_heads": 2}
    model = build({"architecture": "gpt", "vocab_size": LETTERS.vocab_size, **sizes})
    return Served(name="toy", engine=Engine(model, LETTERS), is_chat=True)  # type: ignore[arg-type]


def _chat(served: Served) -> Callable[[Random], None]:
    def read(random: Random) -> None:
        asked = ChatRequest.model_validate(json.loads(as_json(changed_tree(CHAT, random=random))))
        served.read_chat(asked.messages, max_tokens=asked.max_tokens)

    return read


def _completion(served: Served) -> Callable[[Random], None]:
    tree = {"model": "toy", "prompt": "hello", "max_tokens": 2, "stop": ["a"], "top_k": 3}

    def read(random: Random) -> None:
        asked = CompletionRequest.model_validate(
            json.loads(changed_bytes(as_json(changed_tree(tree, random=random)), random=random))
        )
        if isinstance(asked.prompt, str):
            served.check_ids(served.read_text(asked.prompt))

    return read


def _conversation(random: Random) -> None:
    ConversationForm.model_validate(json.loads(as_json(changed_tree(TREE, random=random))))


def _door() -> Callable[[Random], None]:
    """Headers at the door; they are let in or get a 4xx."""

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    settings = Settings(key="a-key-of-this-test-only")
    entrance = Entrance(inside, settings=settings, rooms=Rooms({}), note_refusal=lambda: None)
    door = Access(entrance, settings)
    lines = (
        b"host: 127.0.0.1:8000\r\nauthorization: Bearer a-key-of-this-test-only\r\n"
        b"content-type: application/json\r\ncontent-length: 2\r\norigin: http://127.0.0.1:8000"
    )

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    def read(random: Random) -> None:
        changed = changed_bytes(lines, random=random).split(b"\r\n")
        pairs = [each.partition(b":") for each in changed]
        headers = [(name.lower(), value.strip()) for name, _, value in pairs]
        method = random.choice(("GET", "POST", "DELETE"))
        scope = {"type": "http", "method": method, "path": "/v1/models", "headers": headers}
        told: list[int] = []

        async def send(message: dict[str, Any]) -> None:
            told.append(message.get("status", 0))

        _LOOP.run_until_complete(door(scope, receive, send))  # type: ignore[arg-type]
        assert 200 <= told[0] < 500

    return read


_LOOP = asyncio.new_event_loop()


def _file(place: Path, content: bytes, read: Callable[[Path], object]) -> Callable[[Random], None]:
    """A file whose bytes are changed before each reading."""

    def read_changed(random: Random) -> None:
        place.write_bytes(changed_bytes(content, random=random))
        read(place)

    return read_changed


def _json_file(place: Path, tree: Any, read: Callable[[Path], object]) -> Callable[[Random], None]:
    def read_changed(random: Random) -> None:
        place.write_bytes(as_json(changed_tree(tree, random=random)))
        read(place)

    return read_changed


def _schema() -> Callable[[Random], None]:
    grammars = Grammars(LETTERS)
    schema = {
        "type": "object",
        "properties": {"a": {"enum": [1, "x"]}, "b": {"type": "string", "pattern": "[a-z]{1,9}"}},
        "required": ["a"],
        "additionalProperties": False,
    }

    def read(random: Random) -> None:
        changed = changed_tree(schema, random=random)
        grammars.json_schema(changed if isinstance(changed, dict) else {"const": changed})

    return read


def parsers(folder: Path) -> Iterator[Parser]:
    """All ways in, with their shares."""
    served = _served()
    wrong = (ValueError, ValidationError, RecursionError, Refused)
    said = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    header = save({"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)})
    llama = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 64,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "hidden_act": "silu",
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    }
    recipe = 'model = "runs/demo"\nport = 8000\nalso = ["a", "b"]\nnames = ["box.test"]\n'

    def config(random: Random) -> None:
        changed = changed_tree(llama, random=random)
        if isinstance(changed, dict):
            settings_from(changed, place="config.json")

    yield Parser(name="chat requests", share=0.27, read=_chat(served), allowed=wrong)
    yield Parser(name="completions", share=0.2, read=_completion(served), allowed=wrong)
    yield Parser(name="conversations", share=0.15, read=_conversation, allowed=wrong)
    yield Parser(name="headers", share=0.15, read=_door(), allowed=())
    yield Parser(name="schemas", share=0.02, read=_schema(), allowed=(UsageError,))
    yield Parser(
        name="weights",
        share=0.07,
        read=_file(folder / "a.safetensors", header, check_tensor_file),
        allowed=(CheckpointError,),
    )
    yield Parser(
        name="tokenizers",
        share=0.02,
        read=_json_file(folder / "tokenizer.json", json.loads(LETTERS.to_json()), open_tokenizer),
        allowed=(CheckpointError,),
    )
    yield Parser(
        name="lines of conversations",
        share=0.06,
        read=_file(
            folder / "said.jsonl",
            2 * (as_json(said) + b"\n"),
            lambda path: list(read_conversations(path)),
        ),
        allowed=(DataError,),
    )
    yield Parser(
        name="recipes",
        share=0.03,
        read=_file(folder / "serve.toml", recipe.encode(), lambda path: load(Config, recipe=path)),
        allowed=(ConfigError,),
    )
    yield Parser(name="configs", share=0.03, read=config, allowed=(CheckpointError, UsageError))


@dataclass(kw_only=True)
class Read:
    """What became of some of the inputs."""

    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds."""
    grown: float = 0.0
    """MiB by which memory grew."""


def read_part(folder: Path, part: int, size: int) -> Read:
    """Makes as many inputs, which differ from those of other parts, and reads them."""
    found, before = Read(), psutil.Process().memory_info().rss
    for parser in parsers(folder):
        random = Random(f"{parser.name} {part}")
        for number in range(round(size * parser.share)):
            begun = time.perf_counter()
            try:
                parser.read(random)
            except parser.allowed:
                pass
            except Exception as error:
                told = f"{parser.name} {part} {number}: {type(error).__name__}: {error}"
                found.wrong.append(told[:300])
            found.slowest = max(found.slowest, time.perf_counter() - begun)
    found.grown = (psutil.Process().memory_info().rss - before) / 2**20
    return found


@in_two_sizes(short=10_000, full=1_000_000)
def test_no_input_makes_a_parser_fail(size: int, tmp_path: Path) -> None:
    is_full = size == 1_000_000
    parts = describe_machine().cores if is_full else 1
    with figures(
        "parsers",
        work=f"{size} inputs from one seed, nearly right, to ten parsers; no server between",
        is_full=is_full,
    ) as told:
        folders = [tmp_path / str(part) for part in range(parts)]
        for folder in folders:
            folder.mkdir()
        work = (folders, range(parts), [size // parts] * parts)
        if is_full:
            # A process for each core, and fresh ones: here types are checked at every call.
            with ProcessPoolExecutor(parts, mp_context=get_context("spawn")) as processes:
                found = list(processes.map(read_part, *work))
        else:
            found = list(map(read_part, *work))
        told.told("inputs", size, unit="")
        wrong = [each for part in found for each in part.wrong]
        told.none("other errors than those declared", wrong)
        told.soon("the slowest", max(part.slowest for part in found), MOST_SECONDS)
        told.told("memory grew by", max(part.grown for part in found), unit="MiB")
