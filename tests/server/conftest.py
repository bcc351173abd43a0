"""A toy model behind the app, and a client of it."""

import json
import string
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from torch import nn

from cutaway.inference.engine import Engine
from cutaway.inference.vectors import Encoder
from cutaway.models.bert import Bert, BertConfig
from cutaway.models.catalog import build
from cutaway.server.app import create_app
from cutaway.server.encoders import ServedEncoder
from cutaway.server.models import Served
from cutaway.server.settings import Settings
from cutaway.tokenizer import wordpiece
from cutaway.tokenizer.characters import CharacterTokenizer
from tests.alignment.conftest import postgresql  # noqa: F401 - a fixture
from tests.stages.conftest import model_folder  # noqa: F401 - a fixture

LETTERS = CharacterTokenizer(string.ascii_letters + string.digits + ' .,?!/-<|>_é{}[]:"\\')
HOST = "http://127.0.0.1:8000"


@pytest.fixture(scope="session")
def engine() -> Engine:
    """A toy model none of whose matrices is zero; it never ends an answer greedily."""
    model = build(
        {
            "architecture": "gpt",
            "vocab_size": LETTERS.vocab_size,
            "context_length": 64,
            "width": 16,
            "num_layers": 1,
            "num_heads": 2,
            "tied": False,
        }
    )
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.get_parameter("unembedding.weight")[len(LETTERS.alphabet) :] = 0.0
    return Engine(model.eval(), LETTERS)  # type: ignore[arg-type]


TEXTS = ["the old fox", "newer foxes ask the old fox who is older", "fox"]


def toy_encoder() -> ServedEncoder:
    """A toy encoder whose vectors differ."""
    tokenizer = wordpiece.train(TEXTS * 9, vocab_size=80)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=16,
        width=12,
        num_layers=2,
        num_heads=2,
        hidden_width=24,
    )
    model = Bert(config, generator=torch.Generator().manual_seed(1)).eval()
    for weight in model.parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=0.4, generator=torch.Generator().manual_seed(2))
    return ServedEncoder(name="vectors", encoder=Encoder(model=model, tokenizer=tokenizer))


@pytest.fixture
def served(engine: Engine) -> Served:
    return Served(name="toy", engine=engine, is_chat=True)


@pytest.fixture
def client_of(served: Served) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of an app with these settings."""
    with ExitStack() as stack:

        def make(settings: Settings | None = None, **given: Any) -> TestClient:
            app = create_app(settings or Settings(), models=[served], **given)
            client = TestClient(app, base_url=HOST, raise_server_exceptions=False)
            return stack.enter_context(client)

        yield make


@pytest.fixture
def client(client_of: Callable[..., TestClient]) -> TestClient:
    return client_of()


def chat(content: str = "hello", **fields: Any) -> dict[str, Any]:
    """A request that always gets the same answer."""
    messages = [{"role": "user", "content": content}]
    return {"model": "toy", "messages": messages, "temperature": 0, "max_tokens": 8, **fields}


def read_stream(text: str) -> list[dict[str, Any]]:
    """The chunks of a stream, whose form must be strict."""
    assert text.endswith("\n\n")
    blocks = text[:-2].split("\n\n")
    data = []
    for number, block in enumerate(blocks):
        id_line, data_line = block.split("\n")
        assert id_line == f"id: {number}"
        assert data_line.startswith("data: ")
        data.append(data_line.removeprefix("data: "))
    assert data[-1] == "[DONE]"
    return [json.loads(each) for each in data[:-1]]
