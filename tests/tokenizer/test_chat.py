"""The layout of conversations, and who can write its markers."""

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend

from cutaway.errors import CheckpointError
from cutaway.text.conversations import Conversation, Message, Role
from cutaway.tokenizer import characters
from cutaway.tokenizer.base import SPECIAL
from cutaway.tokenizer.chat import CHAT_TEMPLATE, ChatFormat
from cutaway.tokenizer.fast import BytePairTokenizer


def conversation(*said: tuple[Role, str]) -> Conversation:
    return Conversation(
        messages=tuple(Message(role=role, content=content) for role, content in said)
    )


QUESTION = conversation(("system", "Be brief."), ("user", "What is 2 + 2?"))
ANSWERED = conversation(("system", "Be brief."), ("user", "What is 2 + 2?"), ("assistant", "4"))
CONVERSATION = conversation(
    ("system", "Be brief."),
    ("user", "What is 2 + 2?"),
    ("assistant", "4"),
    ("user", "And 3 + 3?"),
)

CONTENTS = st.sampled_from(SPECIAL) | st.text(max_size=20)
ROLES = st.sampled_from(["system", "user", "assistant"])


def test_a_conversation_is_laid_out_by_its_markers(tokenizer: BytePairTokenizer):
    encoded = ChatFormat(tokenizer).encode(CONVERSATION)
    assert tokenizer.decode(encoded.ids, keep_special=True) == (
        "<|endoftext|><|system|>Be brief.<|end|><|user|>What is 2 + 2?<|end|>"
        "<|assistant|>4<|end|><|user|>And 3 + 3?<|end|>"
    )


def test_only_answers_and_their_ends_are_learned_from(tokenizer: BytePairTokenizer):
    encoded = ChatFormat(tokenizer).encode(CONVERSATION)
    learned = [token for token, wanted in zip(encoded.ids, encoded.learned, strict=True) if wanted]
    assert tokenizer.decode(learned, keep_special=True) == "4<|end|>"


def test_a_prompt_ends_where_the_assistant_begins(tokenizer: BytePairTokenizer):
    chat = ChatFormat(tokenizer)
    prompt = chat.prompt(QUESTION)
    answered = chat.encode(ANSWERED)
    assert prompt == answered.ids[: len(prompt)]
    assert prompt[-1] == tokenizer.special["<|assistant|>"]
    assert answered.learned[len(prompt) :] == [True, True]


def test_nobody_is_asked_to_answer_himself(tokenizer: BytePairTokenizer):
    with pytest.raises(ValueError, match="the last message is the assistant's"):
        ChatFormat(tokenizer).prompt(ANSWERED)


@given(said=st.lists(st.tuples(ROLES, CONTENTS), max_size=5))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_no_content_can_forge_a_marker(tokenizer: BytePairTokenizer, said: list[tuple[Role, str]]):
    encoded = ChatFormat(tokenizer).encode(conversation(*said))
    control = set(tokenizer.special.values())
    markers = [token for token in encoded.ids if token in control]
    assert len(markers) == 1 + 2 * len(said)
    assert len(encoded.ids) == len(encoded.learned)


def test_the_template_and_the_structure_agree_on_plain_content(tokenizer: BytePairTokenizer):
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(CHAT_TEMPLATE)
    messages = [{"role": said.role, "content": said.content} for said in CONVERSATION.messages]
    rendered = template.render(messages=messages, add_generation_prompt=True)
    backend = Backend.from_str(tokenizer.to_json())
    assert backend.encode(rendered).ids == ChatFormat(tokenizer).prompt(CONVERSATION)


def test_the_template_refuses_other_roles():
    def raise_exception(message: str) -> None:
        raise ValueError(message)

    template = jinja2.Environment().from_string(CHAT_TEMPLATE)
    messages = [{"role": "tool", "content": "42"}]
    with pytest.raises(ValueError, match="the roles are system, user and assistant"):
        template.render(messages=messages, raise_exception=raise_exception)


def test_an_answer_ends_at_its_end_or_at_the_end_of_the_text(tokenizer: BytePairTokenizer):
    stops = {tokenizer.special["<|end|>"], tokenizer.special["<|endoftext|>"]}
    assert ChatFormat(tokenizer).stop_ids == stops


def test_a_tokenizer_without_markers_cannot_chat():
    with pytest.raises(CheckpointError, match=r"cannot chat: it has no <\|endoftext\|>"):
        ChatFormat(characters.train(["abc"], special=()))
