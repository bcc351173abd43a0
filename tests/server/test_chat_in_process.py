"""`cutaway chat` and the server say the same: one prompt, one engine, one way to choose."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from cutaway.inference.engine import Engine
from cutaway.interop.open import open_model
from cutaway.server.app import create_app
from cutaway.server.models import Served
from cutaway.server.settings import Settings
from cutaway.stages import chat
from tests.server.conftest import HOST
from tests.stages.conftest import Listener

QUESTIONS = ["hi", "and then what"]


@pytest.mark.parametrize("guess", ["", "prompt"])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_conversation_in_the_terminal_is_the_one_that_the_server_holds(
    model_folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    temperature: float,
    guess: str,
):
    run = model_folder(stage="finetune", never_stops=True)
    settings = {"temperature": temperature, "top_p": 0.9, "max_tokens": 6}
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{each}\n" for each in QUESTIONS)))
    config = chat.Config(model=run, system="Be brief.", seed=5, guess=guess, **settings)
    report = chat.run(config, console=Listener())
    opened = open_model(run)
    served = Served(name="run", engine=Engine(opened.model, opened.tokenizer), is_chat=True)
    messages = [{"role": "system", "content": "Be brief."}]
    with TestClient(create_app(Settings(), models=[served]), base_url=HOST) as client:
        for number, question in enumerate(QUESTIONS):
            messages.append({"role": "user", "content": question})
            asked = {"model": "run", "messages": messages, "seed": 5 + number, **settings}
            told = client.post("/v1/chat/completions", json=asked).json()
            messages.append(told["choices"][0]["message"])
    said = [(each.role, each.content) for each in report.messages]
    assert said == [(each["role"], each["content"]) for each in messages[1:]]
