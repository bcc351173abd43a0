"""What one request may ask for, and that its neighbours do not feel it."""

import json
from typing import Any

import pytest
import torch

from cutaway.errors import UsageError
from cutaway.inference.constraint import Grammars
from cutaway.inference.engine import Engine
from cutaway.inference.penalties import Penalties
from cutaway.inference.request import Request, Token
from cutaway.inference.sampling import Greedy, Sampler, Temperature, TopK, TopP
from cutaway.tokenizer.characters import CharacterTokenizer
from tests.inference.serving import LONG, alone, drain, drain_of, end, request, tokens
from tests.inference.toys import LETTERS, TOY, toy


@pytest.fixture(params=sorted(TOY))
def model(request: pytest.FixtureRequest) -> Any:
    """A toy decoder with a long context."""
    return toy(request.param, context_length=LONG)


@pytest.fixture(scope="module")
def llama() -> Any:
    """One toy decoder, where all are alike."""
    return toy("llama", context_length=LONG)


def test_the_text_of_a_seed_does_not_depend_on_its_neighbours(model: Any) -> None:
    asked = request([5, 6, 7], sampler=Temperature(1.3), seed=11, max_tokens=30)
    expected = alone(model, asked)
    for others in range(1, 12, 5):
        engine = Engine(model, LETTERS)
        for place in range(others):
            engine.submit(
                request([place + 1] * (3 * place + 1), sampler=Temperature(1.0), seed=place)
            )
        id_ = engine.submit(asked)
        assert tokens(drain(engine), id_) == expected


def test_sampled_tokens_have_the_distribution_of_the_sampler(llama: Any) -> None:
    engine, count = Engine(llama, LETTERS, max_rows=256, max_waiting=10_000), 4000
    sampler = TopP(0.95, temperature=1.5)
    for seed in range(count):
        engine.submit(request([1, 2, 3], sampler=sampler, seed=seed, max_tokens=1))
    found = torch.zeros(40)
    for event in drain(engine):
        if isinstance(event, Token):
            found[event.token] += 1
    expected = count * sampler.distribution(llama(torch.tensor([[1, 2, 3]]))[:, -1])[0].detach()
    assert found[expected == 0].sum() == 0
    large = expected >= 5
    statistic = ((found - expected).square() / expected)[large].sum()
    freedom = int(large.sum()) - 1
    # Chi-squared: the mean is the degrees of freedom, the variance twice as much.
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5


def test_a_stop_text_that_straddles_tokens_ends_the_answer_before_it(model: Any) -> None:
    asked = request([5, 6, 7], sampler=Temperature(1.5), seed=4, max_tokens=30)
    whole = LETTERS.decode(alone(model, asked))
    stop = whole[10:13]
    engine = Engine(model, LETTERS)
    id_ = engine.submit(
        request([5, 6, 7], sampler=Temperature(1.5), seed=4, max_tokens=30, stop=(stop,))
    )
    events = drain(engine)
    text = "".join(event.text for event in events if isinstance(event, Token))
    assert text == whole[: whole.index(stop)]
    assert end(events, id_).reason == "stop"


def test_streamed_text_is_the_decoded_text(model: Any) -> None:
    euros = CharacterTokenizer("ab€中文", special=["<|end|>"])
    engine = Engine(model, euros)
    for seed in range(5):
        asked = request([1, 2], sampler=Temperature(2.0), seed=seed, stop_ids=None)
        id_ = engine.submit(asked)
        events = drain(engine)
        text = "".join(event.text for event in events if isinstance(event, Token))
        assert text == euros.decode(tokens(events, id_))


def test_alternatives_are_told_before_and_after_the_sampler(llama: Any) -> None:
    engine, sampler = Engine(llama, LETTERS), TopK(3, temperature=0.5)
    engine.submit(request([1, 2, 3], sampler=sampler, max_tokens=1, top_logprobs=5))
    [event] = [event for event in drain(engine) if isinstance(event, Token)]
    logits = llama(torch.tensor([[1, 2, 3]]))[0, -1].detach()
    own = logits.log_softmax(dim=-1)
    after = sampler.distribution(logits[None])[0].log()
    best = own.topk(5)
    assert [other.token for other in event.alternatives] == best.indices.tolist()
    assert [other.logprob for other in event.alternatives] == pytest.approx(
        best.values.tolist(), abs=1e-4
    )
    told = [other.sampled_logprob for other in event.alternatives]
    assert told[:3] == pytest.approx(after[best.indices[:3]].tolist(), abs=1e-4)
    assert told[3:] == [None, None]
    assert event.logprob == pytest.approx(float(own[event.token]), abs=1e-4)
    assert event.sampled_logprob == pytest.approx(float(after[event.token]), abs=1e-4)


def test_penalties_bend_one_row_and_not_its_neighbour(model: Any) -> None:
    engine = Engine(model, LETTERS)
    plain = request([5, 6, 7], max_tokens=20)
    bent = request([5, 6, 7], max_tokens=20, penalties=Penalties(frequency=2.0, bias={9: -100.0}))
    forced = request([5, 6, 7], max_tokens=3, penalties=Penalties(bias={9: 100.0}))
    ids = [engine.submit(asked) for asked in (plain, bent, forced)]
    events = drain(engine)
    assert tokens(events, ids[0]) == alone(model, plain)
    assert len(set(tokens(events, ids[1]))) > len(set(tokens(events, ids[0])))
    assert 9 not in tokens(events, ids[1])
    assert tokens(events, ids[2]) == [9, 9, 9]


def test_a_form_binds_one_row_and_not_its_neighbour(model: Any) -> None:
    signs = CharacterTokenizer('{}": ,0123456789abcxyz[]', special=["<|end|>"])
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["a"],
        "additionalProperties": False,
    }
    form = Grammars(signs).json_schema(schema)
    engine = Engine(model, signs)
    bound = engine.submit(request([1], sampler=Temperature(1.0), max_tokens=60, constraint=form))
    free = request([1], sampler=Temperature(1.0), max_tokens=9)
    id_ = engine.submit(free)
    events = drain(engine)
    text = "".join(e.text for e in events if isinstance(e, Token) and e.id == bound)
    assert json.loads(text).keys() == {"a"}
    assert end(events, bound).reason == "stop"
    assert len(tokens(events, id_)) == 9


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"prompt": ()}, "the prompt is empty"),
        ({"prompt": (40,)}, "token 40"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"seed": 2**64}, "seed is"),
        ({"top_logprobs": 21}, "top_logprobs is 21"),
        ({"stop": ("",)}, "has 0 characters"),
        ({"stop": ("a",) * 17}, "stop has 17"),
        ({"penalties": Penalties(bias={40: 1.0})}, "logit_bias names token 40"),
    ],
)
def test_a_request_that_cannot_be_answered_is_told(
    llama: Any, settings: dict[str, Any], told: str
) -> None:
    given: dict[str, Any] = {"prompt": (1,), "sampler": Greedy(), "max_tokens": 3}
    with pytest.raises(UsageError, match=told):
        Engine(llama, LETTERS).submit(Request(**given | settings))


def test_the_smallest_and_the_largest_seed_write(llama: Any) -> None:
    sampler: Sampler = Temperature(1.0)
    for seed in (-(2**63), 2**64 - 1):
        assert len(
            tokens(drain_of(Engine(llama, LETTERS), request([1], sampler=sampler, seed=seed)), 1)
        )
