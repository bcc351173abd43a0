"""Conversations: the oldest turns leave a full context, and answers come in whole characters."""

import pytest
import torch

from cutaway.errors import UsageError
from cutaway.inference.dialogue import answer, fit
from cutaway.inference.engine import Engine
from cutaway.inference.sampling import Temperature
from cutaway.models.catalog import build
from cutaway.text.conversations import Conversation, Message
from cutaway.tokenizer.characters import CharacterTokenizer
from cutaway.tokenizer.chat import ChatFormat

LETTERS = CharacterTokenizer("abcdefghijklmnopqrstuvwxyz 中文字€")
CHAT = ChatFormat(LETTERS)
SYSTEM = Message(role="system", content="be kind")


def talk(*contents: str) -> list[Message]:
    """User and assistant in turns, the user first."""
    return [
        Message(role="assistant" if place % 2 else "user", content=content)
        for place, content in enumerate(contents)
    ]


def test_a_conversation_that_fits_is_kept_whole() -> None:
    messages = [SYSTEM, *talk("hello", "hi", "more")]
    fitted = fit(messages, chat=CHAT, context_length=64, max_tokens=10)
    assert fitted.prompt == CHAT.prompt(Conversation(messages=tuple(messages)))
    assert fitted.dropped == ()


def test_the_oldest_turns_leave_first_and_the_system_prompt_stays() -> None:
    messages = [SYSTEM, *talk("a" * 20, "b" * 20, "c" * 20, "d" * 20, "last")]
    fitted = fit(messages, chat=CHAT, context_length=72, max_tokens=10)
    assert fitted.dropped == tuple(messages[1:3])
    kept = (SYSTEM, *messages[3:])
    assert fitted.prompt == CHAT.prompt(Conversation(messages=kept))
    assert len(fitted.prompt) + 10 <= 72


def test_room_is_kept_for_an_answer() -> None:
    messages = talk("a" * 10, "b" * 10, "c" * 10)
    whole = len(CHAT.prompt(Conversation(messages=tuple(messages))))
    assert fit(messages, chat=CHAT, context_length=whole + 9, max_tokens=9).dropped == ()
    assert fit(messages, chat=CHAT, context_length=whole + 8, max_tokens=9).dropped != ()
    assert fit(messages, chat=CHAT, context_length=2 * whole, max_tokens=9999).dropped == ()


def test_a_last_question_that_is_too_long_is_told() -> None:
    with pytest.raises(UsageError, match=r"has 55 tokens .* reads 40 at once"):
        fit(talk("a", "b", "c" * 51), chat=CHAT, context_length=40, max_tokens=10)


@pytest.mark.parametrize("long", ["system", "question"])
def test_a_text_that_is_far_too_long_is_refused_without_being_read(
    long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, question = ("b" * 1300, "a") if long == "system" else ("b", "a" * 1300)
    far = [Message(role="system", content=system), *talk(question)]
    monkeypatch.setattr(ChatFormat, "prompt", lambda *_: pytest.fail("it was read"))
    with pytest.raises(UsageError, match=r"1,300 characters.*40 tokens at once"):
        fit(far, chat=CHAT, context_length=40, max_tokens=10)


def test_old_turns_that_are_far_too_long_are_left_out_without_being_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, prompt = [], ChatFormat.prompt

    def noting(chat: ChatFormat, conversation: Conversation) -> list[int]:
        read.append(sum(len(message.content) for message in conversation.messages))
        return prompt(chat, conversation)

    monkeypatch.setattr(ChatFormat, "prompt", noting)
    messages = [SYSTEM, *talk(*["a" * 1000, "b"] * 50, "last")]
    fitted = fit(messages, chat=CHAT, context_length=40, max_tokens=10)
    assert fitted.dropped == tuple(messages[1:-1])
    assert max(read) <= 32 * 40 + len(SYSTEM.content)


def test_an_answer_is_the_decoded_stream() -> None:
    model = build(
        {
            "architecture": "gpt",
            "vocab_size": LETTERS.vocab_size,
            "context_length": 64,
            "width": 16,
            "num_layers": 1,
            "num_heads": 2,
        },
        generator=torch.Generator().manual_seed(1),
    ).eval()
    engine = Engine(model, LETTERS)  # type: ignore[arg-type]
    prompt = CHAT.prompt(Conversation(messages=tuple(talk("hello"))))
    written = []
    for seed in range(5):
        pieces = list(answer(engine, prompt, sampler=Temperature(1.0), max_tokens=40, seed=seed))
        [whole] = engine.generate([prompt], sampler=Temperature(1.0), max_tokens=40, seeds=[seed])
        assert "".join(pieces) == LETTERS.decode(whole.text_ids)
        written += pieces
    assert len(written) > 20
