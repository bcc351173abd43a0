"""Targets of sources over the API: those that the beam search finds, best first."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cutaway.evaluation.translation import Translator
from cutaway.inference.beam import Hypothesis
from cutaway.server.translations import ServedPair, as_answer
from tests import pair_laws
from tests.laws import LETTERS
from tests.server.conftest import read_stream


@pytest.fixture(scope="module")
def served_pair() -> ServedPair:
    model: Any = pair_laws.toy("transformer")
    return ServedPair(name="pair", model=model, tokenizer=LETTERS)


@pytest.fixture
def client(client_of: Callable[..., TestClient], served_pair: ServedPair) -> TestClient:
    return client_of(pairs=[served_pair])


def translate(client: TestClient, **fields: Any) -> Any:
    asked = {"model": "pair", "prompt": ["abc", "hello"], "max_tokens": 24, **fields}
    return client.post("/v1/completions", json=asked)


def test_a_prompt_gets_the_best_target_of_the_search(client: TestClient, served_pair: ServedPair):
    told = translate(client).json()
    translator = Translator(model=served_pair.model, tokenizer=served_pair.tokenizer)
    texts = [choice["text"] for choice in told["choices"]]
    assert texts == translator.translate(["abc", "hello"])
    assert [choice["index"] for choice in told["choices"]] == [0, 1]
    assert told["usage"]["prompt_tokens"] == len("abc") + len("hello") + 2


def test_a_stream_brings_the_same_in_one_piece(client: TestClient):
    whole = translate(client).json()
    given = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = read_stream(translate(client, **given).text)
    for choice in whole["choices"]:
        parts = [part for chunk in chunks for part in chunk["choices"]]
        mine = [part for part in parts if part["index"] == choice["index"]]
        assert "".join(part["text"] for part in mine) == choice["text"]
        assert mine[-1]["finish_reason"] == choice["finish_reason"]
    assert chunks[-1]["usage"] == whole["usage"]


def test_a_stop_text_ends_a_target_before_it():
    target = Hypothesis(ids=LETTERS.encode("abcde"), logprob=-1.0, score=-1.0, is_finished=False)
    found = as_answer(target, tokenizer=LETTERS, stops=("e", "cd"))
    assert (found.text, found.reason, found.tokens) == ("ab", "stop", 5)
    assert as_answer(target, tokenizer=LETTERS, stops=()).reason == "length"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "a" * 24}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"logprobs": 1}, "logprobs"),
        ({"n": 2}, "n"),
        ({"prompt": "§"}, "prompt"),
    ],
)
def test_what_has_no_target_is_refused_by_name(client: TestClient, fields, param):
    answer = translate(client, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_it_answers_no_chat(client: TestClient):
    asked = {"model": "pair", "messages": [{"role": "user", "content": "abc"}]}
    answer = client.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 404
    assert "ask /v1/completions" in answer.json()["error"]["message"]
    assert client.get("/v1/models/pair").json()["is_chat"] is False
