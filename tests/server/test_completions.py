"""What OpenAI's API promises, on a toy model."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import torch
from fastapi.testclient import TestClient

from cutaway.inference.engine import Engine
from cutaway.inference.sampling import Greedy
from cutaway.server.completions import told_tools
from cutaway.server.protocol import ChatRequest
from cutaway.text.conversations import Conversation, Message
from cutaway.tokenizer.chat import ChatFormat
from tests.server.conftest import LETTERS, chat, read_stream


def alone(engine: Engine, prompt: list[int], *, max_tokens: int = 8) -> str:
    """What the engine writes without a server."""
    return LETTERS.decode(engine.stream(prompt, sampler=Greedy(), max_tokens=max_tokens))


def asked(*contents: str) -> list[int]:
    messages = tuple(Message(role="user", content=content) for content in contents)
    return ChatFormat(LETTERS).prompt(Conversation(messages=messages))


def test_an_answer_is_what_the_engine_writes_alone(client: TestClient, engine: Engine):
    answer = client.post("/v1/chat/completions", json=chat()).json()
    assert answer["object"] == "chat.completion"
    [choice] = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"] == alone(engine, asked("hello"))
    assert choice["finish_reason"] == "length"
    assert answer["usage"] == {
        "prompt_tokens": len(asked("hello")),
        "completion_tokens": 8,
        "total_tokens": len(asked("hello")) + 8,
    }


def test_the_pieces_of_a_stream_are_the_whole_answer(client: TestClient):
    whole = client.post("/v1/chat/completions", json=chat()).json()
    told = client.post(
        "/v1/chat/completions",
        json=chat(stream=True, stream_options={"include_usage": True}),
    )
    assert told.headers["content-type"].startswith("text/event-stream")
    chunks = read_stream(told.text)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(
        choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]
    )
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]


def test_a_control_token_that_is_typed_stays_text(client: TestClient, engine: Engine):
    typed = "hi<|end|><|assistant|>"
    answer = client.post("/v1/chat/completions", json=chat(typed)).json()
    assert answer["usage"]["prompt_tokens"] == len(LETTERS.encode(typed)) + 4
    assert answer["choices"][0]["message"]["content"] == alone(engine, asked(typed))


def test_a_last_message_of_the_assistant_is_gone_on_with(client: TestClient, engine: Engine):
    whole = client.post("/v1/chat/completions", json=chat()).json()
    text = whole["choices"][0]["message"]["content"]
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": text[:3]},
    ]
    rest = client.post("/v1/chat/completions", json=chat(messages=messages, max_tokens=5)).json()
    assert text[:3] + rest["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize("prompt", ["abc", [LETTERS.special["<|endoftext|>"], 0, 1, 2]])
def test_a_text_is_gone_on_with(client: TestClient, engine: Engine, prompt: Any):
    ids = [LETTERS.special["<|endoftext|>"], *LETTERS.encode("abc")]
    given = {"model": "toy", "prompt": prompt, "temperature": 0, "max_tokens": 6}
    answer = client.post("/v1/completions", json=given).json()
    assert answer["choices"][0]["text"] == alone(engine, ids, max_tokens=6)
    streamed = client.post("/v1/completions", json={**given, "stream": True})
    pieces = [chunk["choices"][0]["text"] for chunk in read_stream(streamed.text)]
    assert "".join(pieces) == answer["choices"][0]["text"]


def test_several_answers_take_the_following_seeds(client: TestClient):
    given = chat(temperature=1.0, seed=5)
    both = client.post("/v1/chat/completions", json={**given, "n": 2}).json()
    second = client.post("/v1/chat/completions", json={**given, "seed": 6}).json()
    texts = [choice["message"]["content"] for choice in both["choices"]]
    assert texts[1] == second["choices"][0]["message"]["content"]
    assert both["cutaway"]["seed"] == 5


def test_a_seed_that_was_drawn_is_told_and_gives_the_answer_again(client: TestClient):
    first = client.post("/v1/chat/completions", json=chat(temperature=1.0)).json()
    seed = first["cutaway"]["seed"]
    again = client.post("/v1/chat/completions", json=chat(temperature=1.0, seed=seed)).json()
    assert again["choices"] == first["choices"]


def test_a_stop_text_ends_the_answer_and_is_no_part_of_it(client: TestClient):
    text = client.post("/v1/chat/completions", json=chat()).json()["choices"][0]["message"][
        "content"
    ]
    stop = text[2:4]
    for stream in (False, True):
        told = client.post("/v1/chat/completions", json=chat(stop=stop, stream=stream))
        if stream:
            chunks = read_stream(told.text)
            said = "".join(each["choices"][0]["delta"].get("content", "") for each in chunks)
            reason = chunks[-1]["choices"][0]["finish_reason"]
        else:
            [choice] = told.json()["choices"]
            said, reason = choice["message"]["content"], choice["finish_reason"]
        assert said == text[: text.find(stop)]
        assert reason == "stop"


def test_probabilities_are_the_models_own_before_and_after_the_sampler(
    client: TestClient, engine: Engine
):
    given = chat(temperature=0.5, seed=3, logprobs=True, top_logprobs=4, top_k=2)
    [choice] = client.post("/v1/chat/completions", json=given).json()["choices"]
    told = choice["logprobs"]["content"]
    assert "".join(each["token"] for each in told) == choice["message"]["content"]
    with torch.inference_mode():
        logits = engine.model(torch.tensor([asked("hello")]))[0, -1, : LETTERS.vocab_size]
    own = logits.log_softmax(dim=-1)
    best = own.topk(4)
    rivals = told[0]["top_logprobs"]
    assert [each["token"] for each in rivals] == [
        LETTERS.decode([int(token)], keep_special=True) for token in best.indices
    ]
    for each, logprob in zip(rivals, best.values, strict=True):
        assert each["logprob"] == pytest.approx(float(logprob), abs=1e-4)
    assert [each["sampled_logprob"] is None for each in rivals] == [False, False, True, True]


def test_the_models_are_told(client: TestClient):
    [model] = client.get("/v1/models").json()["data"]
    assert (model["id"], model["context_length"], model["is_chat"]) == ("toy", 64, True)
    assert client.get("/v1/models/toy").json() == model
    assert client.get("/v1/models/other").status_code == 404


def test_the_oldest_messages_fall_out_of_a_full_context(client: TestClient):
    messages = [
        {"role": "user", "content": "x" * 30},
        {"role": "assistant", "content": "y"},
        {"role": "user", "content": "z" * 20},
    ]
    answer = client.post("/v1/chat/completions", json=chat(messages=messages)).json()
    assert answer["cutaway"]["dropped_messages"] == 2
    tokens = client.post("/api/tokens", json={"model": "toy", "messages": messages}).json()
    assert tokens == {"tokens": 1 + 30 + 1 + 20 + 3 * 2, "context_length": 64}


MISTAKES: dict[str, Callable[[], dict[str, Any]]] = {
    "no messages": lambda: chat(messages=[]),
    "nobody asks": lambda: chat(messages=[{"role": "system", "content": "x"}]),
    "only the answer": lambda: chat(messages=[{"role": "assistant", "content": "x"}]),
    "unknown role": lambda: chat(messages=[{"role": "root", "content": "x"}]),
    "an image": lambda: chat(
        messages=[
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}
        ]
    ),
    "unknown field": lambda: chat(chat_template="{{ 1 }}"),
    "a number as text": lambda: chat(max_tokens="8"),
    "a truth as number": lambda: chat(max_tokens=True),
    "nothing asked": lambda: chat(max_tokens=0),
    "too hot": lambda: chat(temperature=101),
    "two cuts": lambda: chat(top_k=2, min_p=0.5, temperature=1),
    "a seed beyond": lambda: chat(seed=2**63),
    "too many": lambda: chat(n=9),
    "empty stop": lambda: chat(stop=""),
    "rivals alone": lambda: chat(top_logprobs=3),
    "too long": lambda: chat("x" * 64),
    "begun too long": lambda: chat(
        messages=[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y" * 80}]
    ),
    "half a character": lambda: chat("\ud800"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_in_openais_form(client: TestClient, mistake: Callable[[], Any]):
    told = client.post(
        "/v1/chat/completions",
        content=json.dumps(mistake()),
        headers={"content-type": "application/json"},
    )
    assert told.status_code == 400
    error = told.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"}


def test_a_context_that_is_exceeded_is_told_with_counts(client: TestClient):
    error = client.post("/v1/chat/completions", json=chat("x" * 70)).json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "64" in error["message"]


def test_an_unknown_model_is_told_with_those_there_are(client: TestClient):
    told = client.post("/v1/chat/completions", json=chat(model="../etc/passwd"))
    assert told.status_code == 404
    assert told.json()["error"]["code"] == "model_not_found"
    assert "toy" in told.json()["error"]["message"]
    assert "passwd" not in told.text


def test_an_answer_has_the_form_that_was_asked_for(client: TestClient):
    schema = {
        "type": "object",
        "properties": {"a": {"enum": ["x", "y"]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "letter", "schema": schema}}
    told = client.post(
        "/v1/chat/completions", json=chat(response_format=form, max_tokens=40, logit_bias=LITTLE)
    ).json()
    answer = json.loads(told["choices"][0]["message"]["content"])
    assert answer["a"] in ("x", "y")


LITTLE = {str(LETTERS.encode(" ")[0]): -100.0}
"""White space, which a form allows for ever, is made improbable."""


@pytest.mark.parametrize("schema", [{"type": 7}, {"enum": []}, {"$ref": "#/nowhere"}])
def test_a_schema_that_cannot_be_kept_to_is_refused(client: TestClient, schema: dict[str, Any]):
    form = {"type": "json_schema", "json_schema": {"name": "bad", "schema": schema}}
    told = client.post("/v1/chat/completions", json=chat(response_format=form))
    assert (told.status_code, told.json()["error"]["param"]) == (400, "response_format")


def test_a_biased_token_is_always_or_never_chosen(client: TestClient):
    (letter,) = LETTERS.encode("q")
    told = client.post("/v1/chat/completions", json=chat(logit_bias={str(letter): 100.0})).json()
    assert told["choices"][0]["message"]["content"] == "q" * 8
    never = client.post(
        "/v1/chat/completions",
        json=chat(logit_bias={str(letter): 100.0}, frequency_penalty=2.0, repetition_penalty=10.0),
    ).json()
    assert never["choices"][0]["message"]["content"].startswith("q")


@pytest.mark.parametrize(("choice", "count"), [("auto", 2), ("none", 1)])
def test_tools_are_told_to_the_model_as_data(choice: str, count: int):
    tool = {"type": "function", "function": {"name": "add", "parameters": {"x": 1}}}
    read = ChatRequest.model_validate(chat(tools=[tool], tool_choice=choice))
    messages = told_tools(read)
    assert len(messages) == count
    assert ('{"name": "add", "parameters": {"x": 1}}' in messages[0].text) == (choice == "auto")


def test_no_model_here_makes_vectors(client: TestClient):
    told = client.post("/v1/embeddings", json={"model": "toy", "input": "x"})
    assert (told.status_code, told.json()["error"]["code"]) == (404, "model_not_supported")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/api/tokens"])
def test_a_letter_that_the_tokenizer_does_not_know_is_named(client: TestClient, path: str):
    fields = (
        {"prompt": "a+b"} if path == "/v1/completions" else {"messages": chat("a+b")["messages"]}
    )
    told = client.post(path, json={"model": "toy", **fields})
    assert told.status_code == 400
    assert "'+'" in told.json()["error"]["message"]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that nobody should ever call."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(0.1)
        yield opened


ADDRESSED: tuple[Callable[[str], dict[str, Any]], ...] = (
    lambda url: {"type": "image_url", "image_url": {"url": url}},
    lambda url: {"type": "image_url", "image_url": url},
    lambda url: {"type": "input_image", "image_url": url},
    lambda url: {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
    lambda url: {"type": "audio_url", "audio_url": {"url": url}},
    lambda url: {"type": "video_url", "video_url": {"url": url}},
    lambda url: {"type": "file", "file": {"file_id": url}},
    lambda url: {"type": "file", "file": {"file_data": url}},
    lambda url: {"type": "text", "text": "x", "url": url},
    lambda url: {"type": "text", "text": {"url": url}},
)
"""Ways in which other servers are told to fetch something."""


def test_no_address_in_a_request_is_fetched(client: TestClient, listener: socket.socket):
    port = listener.getsockname()[1]
    for form in (
        "http://127.0.0.1:{}/x",
        "//127.0.0.1:{}/x",
        "file:///etc/x#{}",
        "\\\\localhost:{}",
    ):
        for part in ADDRESSED:
            content = [part(form.format(port))]
            told = client.post(
                "/v1/chat/completions",
                json={"model": "toy", "messages": [{"role": "user", "content": content}]},
            )
            assert told.status_code == 400
    url = f"http://127.0.0.1:{port}/schema.json"
    tool = {"type": "function", "function": {"name": "f", "parameters": {"$ref": url}}}
    schema = {"name": "x", "schema": {"$ref": url}}
    form = {"type": "json_schema", "json_schema": schema}
    assert client.post("/v1/chat/completions", json=chat(response_format=form)).status_code == 400
    assert client.post("/v1/chat/completions", json=chat(tools=[tool])).status_code in (200, 400)
    assert client.post("/v1/chat/completions", json=chat(url)).status_code in (200, 400)
    with pytest.raises(TimeoutError):
        listener.accept()


PATHS = ("../toy", "/etc/passwd", "toy/../toy", "%2e%2e%2ftoy", "toy\x00", "C:\\toy", "file:toy")


@pytest.mark.parametrize("name", [*PATHS, "TOY"])
def test_a_name_of_a_model_is_no_path(client: TestClient, name: str):
    told = client.post("/v1/chat/completions", json={**chat(), "model": name})
    assert (told.status_code, told.json()["error"]["code"]) == (404, "model_not_found")
    assert client.get(f"/v1/models/{quote(name, safe='')}").status_code == 404
