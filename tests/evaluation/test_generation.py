"""Askers build prompts that fit, stop where an answer ends, and read what was written."""

import pytest

from cutaway.errors import DataError
from cutaway.evaluation.generation import ChatAsker, TextAsker, is_exact
from cutaway.evaluation.prompting import FewShot, ZeroShot
from cutaway.inference.engine import Engine
from cutaway.inference.generate import Completion
from cutaway.text.conversations import Conversation, Message

QUESTIONS = [
    Conversation(messages=(Message(role="user", content=text),)) for text in ("spell ox", "say hi")
]
SHOT = Conversation(
    messages=(
        Message(role="user", content="spell ab"),
        Message(role="assistant", content="a b"),
    )
)


class Scripted:
    """An engine that writes given texts and remembers what it was asked."""

    def __init__(self, tokenizer, written):
        self.tokenizer, self.written = tokenizer, written

    def generate(self, prompts, *, sampler, max_tokens, seeds=None, stop_ids=None):
        self.prompts = [self.tokenizer.decode(ids, keep_special=True) for ids in prompts]
        self.max_tokens, self.stop_ids = max_tokens, stop_ids
        end = self.tokenizer.special["<|end|>"]
        return [
            Completion(ids=[*self.tokenizer.encode(text), end], logprobs=[], finish_reason="stop")
            for text in self.written
        ]


def test_a_chat_is_asked_in_its_own_layout(tokenizer):
    engine = Scripted(tokenizer, ["o x", " hi "])
    asker = ChatAsker(engine, tokenizer, context_length=99)
    assert asker.answers(QUESTIONS, references=["o x", "hi"], form=ZeroShot()) == ["o x", "hi"]
    assert engine.prompts[0] == "<|endoftext|><|user|>spell ox<|end|><|assistant|>"
    assert engine.stop_ids == {tokenizer.special["<|end|>"], tokenizer.special["<|endoftext|>"]}


def test_the_room_for_an_answer_follows_from_its_reference(tokenizer):
    engine = Scripted(tokenizer, ["", ""])
    ChatAsker(engine, tokenizer, context_length=99).answers(
        QUESTIONS, references=["o x", "hihihihihi"], form=ZeroShot()
    )
    assert engine.max_tokens == [3 + 1 + 8, 10 + 5 + 8]


def test_a_base_model_continues_a_text_until_the_line_ends(tokenizer):
    engine = Scripted(tokenizer, [" o x\nQuestion: more", "hi"])
    asker = TextAsker(engine, tokenizer, context_length=200)
    answers = asker.answers(
        QUESTIONS, references=["o x", "hi"], form=FewShot(count=1), examples=[SHOT]
    )
    assert answers == ["o x", "hi"]
    assert engine.prompts[0] == (
        "<|endoftext|>Question: spell ab\nAnswer: a b\n\nQuestion: spell ox\nAnswer:"
    )
    assert set(tokenizer.encode("\n")) < engine.stop_ids


def test_an_answer_of_several_lines_ends_with_an_empty_one(tokenizer):
    engine = Scripted(tokenizer, [" o x\nox\n\nQuestion:", "hi"])
    asker = TextAsker(engine, tokenizer, context_length=99)
    answers = asker.answers(QUESTIONS, references=["o x\nox", "hi"], form=ZeroShot())
    assert answers == ["o x\nox", "hi"]
    assert not set(tokenizer.encode("\n")) & engine.stop_ids


def test_examples_that_do_not_fit_are_left_out(tokenizer):
    engine = Scripted(tokenizer, ["", ""])
    asker = TextAsker(engine, tokenizer, context_length=75)
    asker.answers(QUESTIONS, references=["o x", "hi"], form=FewShot(count=3), examples=[SHOT] * 3)
    assert [prompt.count("Question:") for prompt in engine.prompts] == [2, 2]


def test_a_question_longer_than_the_context_is_an_error(tokenizer):
    asker = ChatAsker(Scripted(tokenizer, []), tokenizer, context_length=11)
    with pytest.raises(DataError, match="a question of 12 tokens does not fit"):
        asker.answers(QUESTIONS[:1], references=["o x"], form=ZeroShot())


def test_the_real_engine_answers_both_ways(model, tokenizer):
    engine = Engine(model, tokenizer)
    for kind in (ChatAsker, TextAsker):
        asker = kind(engine, tokenizer, context_length=16)
        asked = [Conversation(messages=(Message(role="user", content="x"),))]
        if kind is ChatAsker:
            [answer] = asker.answers(asked, references=["y"], form=ZeroShot())
            assert isinstance(answer, str)
        else:
            with pytest.raises(DataError, match="does not fit"):
                asker.answers(asked, references=["y"], form=ZeroShot())


@pytest.mark.parametrize(
    ("answer", "reference", "agree"),
    [("a b", " a  b\n", True), ("ab", "a b", False), ("A", "a", False), ("", "", True)],
)
def test_exact_answers_may_differ_in_white_space_alone(answer, reference, agree):
    assert is_exact(answer, reference) is agree
