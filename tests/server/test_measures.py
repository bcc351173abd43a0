"""What /metrics tells: names and units as Prometheus has them, and numbers that agree."""

import time
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from cutaway.server.settings import Settings
from tests.server.conftest import chat

CHAT = "/v1/chat/completions"
TIMES = ("http_response", "time_to_first_token", "inter_token_latency", "e2e_latency")


def samples(client: TestClient) -> dict[str, float]:
    """Every sample by its name and labels."""
    told = client.get("/metrics")
    assert told.headers["content-type"].startswith("text/plain; version=")
    return {
        sample.name + "".join(f",{key}={value}" for key, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(told.text)
        for sample in family.samples
    }


def test_every_measure_has_a_unit_and_a_help(client: TestClient):
    client.post(CHAT, json=chat())
    for family in text_string_to_metric_families(client.get("/metrics").text):
        assert family.name.startswith("cutaway_")
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_responses_are_counted_by_method_and_status(client: TestClient):
    client.get("/v1/models")
    client.get("/nowhere")
    counted = {
        name: value for name, value in samples(client).items() if "http_responses_total" in name
    }
    assert counted == {
        "cutaway_http_responses_total,method=GET,status=200": 1.0,
        "cutaway_http_responses_total,method=GET,status=404": 1.0,
    }


def test_what_was_asked_and_answered_adds_up(client: TestClient):
    before = samples(client)
    assert client.post(CHAT, json=chat(n=2, max_tokens=5)).status_code == 200
    assert client.post(CHAT, json=chat(stream=True, max_tokens=3)).status_code == 200
    after = samples(client)

    def more(name: str) -> float:
        return after[f"cutaway_{name}"] - before.get(f"cutaway_{name}", 0.0)

    assert more("generation_tokens_total") == 2 * 5 + 3
    assert more("answers_total,reason=length") == 3
    assert more("time_to_first_token_seconds_count") == 3
    assert more("inter_token_latency_seconds_count") == 2 * 4 + 2
    assert more("e2e_latency_seconds_count") == 3
    assert more("prompt_tokens_total") > 0
    assert after["cutaway_requests_waiting"] == 0
    assert more("e2e_latency_seconds_sum") >= more("time_to_first_token_seconds_sum")


def test_an_answer_that_has_ended_soon_runs_no_more(client: TestClient):
    assert client.post(CHAT, json=chat(max_tokens=3)).status_code == 200
    # The last of an answer is sent before its place is free.
    ends = time.monotonic() + 10
    while samples(client)["cutaway_requests_running"]:
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize("name", TIMES)
def test_the_buckets_of_a_histogram_only_grow(client: TestClient, name: str):
    client.post(CHAT, json=chat())
    told = samples(client)
    buckets = [value for key, value in told.items() if key.startswith(f"cutaway_{name}_seconds_b")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == told[f"cutaway_{name}_seconds_count"]


def test_no_block_is_held_after_an_answer(client: TestClient):
    client.post(CHAT, json=chat("a question that fills more than one block of sixteen"))
    told = samples(client)
    assert told["cutaway_kv_cache_blocks,model=toy,state=held"] == 0
    assert told["cutaway_kv_cache_blocks,model=toy,state=kept"] > 0


def test_a_request_without_room_is_counted(client_of: Callable[..., TestClient]):
    client = client_of(Settings(most_running=1, most_waiting=0))
    assert client.post(CHAT, json=chat(n=2)).status_code == 429
    assert samples(client)["cutaway_rejected_total"] == 1
