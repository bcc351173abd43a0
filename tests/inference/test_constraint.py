"""Answers in a form: whatever the model prefers, what it writes is JSON of the schema."""

import contextlib
import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cutaway.errors import CutawayError, UsageError
from cutaway.inference.constraint import Constraint, Grammars
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.bpe import train
from cutaway.tokenizer.characters import CharacterTokenizer

BYTES = train(['{"name": "Ann", "age": 12}, {"name": "Bo", "age": 7}'] * 8, vocab_size=290)
CHARACTERS = CharacterTokenizer('abn mge{}[]":,0123456789')
PERSON = {
    "type": "object",
    "properties": {"name": {"enum": ["Ann", "Bo"]}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SMALL = {
    "type": "object",
    "properties": {"age": {"enum": [7]}},
    "required": ["age"],
    "additionalProperties": False,
}
GRAMMARS = Grammars(BYTES)


def written(constraint: Constraint, tokenizer: Tokenizer, *, seed: int) -> str:
    """What a model without any preference writes in this form."""
    generator = torch.Generator().manual_seed(seed)
    end = tokenizer.special["<|end|>"]
    row, ids = constraint.begin(frozenset({end})), list[int]()
    while not row.is_complete and len(ids) < 400:
        allowed = row.allowed()
        if bool(allowed[end]):
            break
        ids.append(int(torch.multinomial(allowed.float(), 1, generator=generator)))
        row.take(ids[-1])
    return tokenizer.decode(ids)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_allowed_is_an_instance_of_the_schema(seed: int) -> None:
    found = json.loads(written(GRAMMARS.json_schema(PERSON), BYTES, seed=seed))
    assert found.keys() == {"name", "age"}
    assert found["name"] in ("Ann", "Bo")
    assert isinstance(found["age"], int)


def test_a_tokenizer_of_characters_writes_json_too() -> None:
    text = written(Grammars(CHARACTERS).json_schema(SMALL), CHARACTERS, seed=1)
    assert json.loads(text) == {"age": 7}


def test_an_answer_may_end_only_where_the_form_is_complete() -> None:
    end = BYTES.special["<|end|>"]
    row = GRAMMARS.json_object().begin(frozenset({end}))
    for token in BYTES.encode('{"name":1'):
        assert not row.allowed()[end]
        row.take(token)
    row.take(BYTES.encode("}")[0])
    assert row.is_complete or row.allowed()[end]


def test_a_control_token_is_never_part_of_a_form() -> None:
    row = GRAMMARS.json_object().begin(frozenset())
    row.take(BYTES.encode("{")[0])
    row.take(BYTES.encode('"')[0])
    assert not row.allowed()[list(BYTES.special.values())].any()


def test_two_answers_of_one_form_do_not_disturb_each_other() -> None:
    form = GRAMMARS.json_object()
    first, second = form.begin(frozenset()), form.begin(frozenset())
    before = second.allowed()
    first.take(BYTES.encode("{")[0])
    assert second.allowed().equal(before)


def test_a_form_that_cannot_be_written_is_told() -> None:
    with pytest.raises(UsageError, match="cannot go on in the form") as raised:
        Grammars(CharacterTokenizer("abc")).json_object()
    # The library fails where the tokenizer does, and would tell where that was.
    assert str(raised.value).endswith("the tokenizer cannot write what comes next")


def test_a_wrong_token_ends_the_answer_with_an_error() -> None:
    row = GRAMMARS.json_object().begin(frozenset())
    row.take(BYTES.encode("a")[0])
    with pytest.raises(CutawayError, match="cannot go on"):
        row.allowed()


def nested(levels: int) -> dict[str, Any]:
    """A schema of many levels."""
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "objct"}, "cannot be used: .*objct"),
        ({"type": "string", "format": "no such"}, "cannot be used"),
        ({"type": "string", "pattern": "("}, "cannot be used"),
        ({"$ref": "#/nowhere"}, "cannot be used"),
        ({"enum": ["a" * 70_000]}, "has 70,0.. characters"),
        ({"const": float("nan")}, "cannot be used"),
        ({"const": {1, 2}}, "cannot be used"),
        (nested(70), "more than 64 levels"),
        (nested(5_000), "more than 64 levels"),
    ],
    ids=range(9),
)
def test_a_schema_that_cannot_be_used_is_told(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        GRAMMARS.json_schema(schema)


KEYWORDS = ["type", "properties", "items", "enum", "pattern", "anyOf", "$ref", "required"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    schema=st.dictionaries(
        st.sampled_from(
            [
                "type",
                "properties",
                "items",
                "enum",
                "pattern",
                "anyOf",
                "$ref",
                "minimum",
                "required",
            ]
        ),
        JSON,
    )
)
def test_any_json_is_compiled_or_refused_as_a_mistake_of_its_sender(
    schema: dict[str, Any],
) -> None:
    with contextlib.suppress(UsageError):
        GRAMMARS.json_schema(schema)
