"""Questions put to a model by the batched engine, as a chat or as text to be continued."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Protocol, final, runtime_checkable

from cutaway.errors import DataError
from cutaway.evaluation.prompting import PromptForm
from cutaway.inference.generate import Completion
from cutaway.inference.sampling import Greedy, Sampler
from cutaway.text.conversations import Conversation
from cutaway.tokenizer.base import Tokenizer
from cutaway.tokenizer.chat import ChatFormat

MARGIN = 8
"""Tokens that an answer may be longer than half as long again as its reference."""


@runtime_checkable
class Completer(Protocol):
    """What evaluation asks of an engine."""

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        sampler: Sampler,
        max_tokens: int | Sequence[int],
        seeds: Sequence[int] | None = None,
        stop_ids: Collection[int] | None = None,
    ) -> list[Completion]:
        """Continues every prompt, in order."""


class Asker(ABC):
    """Asks one model; the most probable answer counts, unless it is told to draw."""

    def __init__(
        self,
        engine: Completer,
        tokenizer: Tokenizer,
        *,
        context_length: int,
        sampler: Sampler = Greedy(),  # noqa: B008 - it is frozen and holds nothing
        seed: int = 0,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._context_length = context_length
        self._sampler, self._seed = sampler, seed

    @abstractmethod
    def answers(
        self,
        asked: Sequence[Conversation],
        *,
        references: Sequence[str],
        form: PromptForm,
        examples: Sequence[Conversation] = (),
    ) -> list[str]:
        """Answers each conversation; how long an answer may be follows from its reference.

        Where question and examples do not fit the context, the last examples are left out.

        Raises:
            DataError: A question alone fills the context.
        """

    def _complete(
        self, prompts: Sequence[list[int]], *, room: Sequence[int], stop_ids: Collection[int]
    ) -> list[Completion]:
        return self._engine.generate(
            prompts,
            sampler=self._sampler,
            max_tokens=room,
            seeds=range(self._seed, self._seed + len(prompts)),
            stop_ids=stop_ids,
        )

    def _room(self, references: Sequence[str]) -> list[int]:
        lengths = [len(ids) for ids in self._tokenizer.encode_batch(list(references))]
        return [length + length // 2 + MARGIN for length in lengths]

    def _fitting(self, prompts: Sequence[list[int]], *, room: int) -> list[int]:
        """Returns the first of the prompts, longest first, that leaves room for the answer."""
        for prompt in prompts:
            if len(prompt) + room <= self._context_length:
                return prompt
        shortest = prompts[-1]
        if len(shortest) >= self._context_length:
            raise DataError(
                f"a question of {len(shortest)} tokens does not fit a model that reads "
                f"{self._context_length} at once;\nleave it out, or use a model of longer context"
            )
        return shortest


@final
class ChatAsker(Asker):
    """Asks a model that was taught to chat."""

    def answers(
        self,
        asked: Sequence[Conversation],
        *,
        references: Sequence[str],
        form: PromptForm,
        examples: Sequence[Conversation] = (),
    ) -> list[str]:
        chat = ChatFormat(self._tokenizer)
        room = self._room(references)
        prompts = [
            self._fitting(
                [
                    chat.prompt(form.conversation(question, examples=examples[:shown]))
                    for shown in range(len(examples), -1, -1)
                ],
                room=tokens,
            )
            for question, tokens in zip(asked, room, strict=True)
        ]
        completions = self._complete(prompts, room=room, stop_ids=chat.stop_ids)
        written = [self._tokenizer.decode(completion.text_ids) for completion in completions]
        return [form.answer_in(text) for text in written]


@final
class TextAsker(Asker):
    """Lets a base model continue a text. An answer ends with its line.

    Where one of the references has several lines, an answer ends with an empty line instead.
    """

    def answers(
        self,
        asked: Sequence[Conversation],
        *,
        references: Sequence[str],
        form: PromptForm,
        examples: Sequence[Conversation] = (),
    ) -> list[str]:
        end = "\n\n" if any("\n" in reference.strip() for reference in references) else "\n"
        start = self._tokenizer.begin_id
        room = self._room(references)
        prompts = []
        for question, tokens in zip(asked, room, strict=True):
            texts = [
                form.text(question, examples=examples[:shown])
                for shown in range(len(examples), -1, -1)
            ]
            encoded = [[start, *ids] for ids in self._tokenizer.encode_batch(texts)]
            prompts.append(self._fitting(encoded, room=tokens))
        stop_ids = self._ids_with(end) | self._tokenizer.customs.stop_ids
        completions = self._complete(prompts, room=room, stop_ids=stop_ids)
        written = [self._tokenizer.decode(completion.ids).lstrip() for completion in completions]
        return [form.answer_in(text.partition(end)[0]) for text in written]

    def _ids_with(self, text: str) -> set[int]:
        """Returns the tokens whose bytes hold a text."""
        wanted = text.encode()
        return {
            token
            for token in range(self._tokenizer.vocab_size)
            if wanted in self._tokenizer.token_bytes(token)
        }


def is_exact(answer: str, reference: str) -> bool:
    """Says whether two answers agree in all but their white space."""
    return answer.split() == reference.split()
