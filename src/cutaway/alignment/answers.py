"""Answers to compare: several writers, each a checkpoint with a way of sampling, asked the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cutaway.alignment.judgements import Answer, Comparison
from cutaway.alignment.prompts import Asked
from cutaway.inference.engine import Engine
from cutaway.inference.sampling import Sampler
from cutaway.text.conversations import Conversation
from cutaway.tokenizer.chat import ChatFormat

AT_ONCE = 8
"""Prompts that are answered together."""
MOST_TRIES = 3
"""How often an answer that was given already is drawn again with another seed."""


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Who writes answers, and how."""

    engine: Engine
    chat: ChatFormat
    sampler: Sampler
    told_sampler: str
    """The sampler for people, such as `temperature 0.8`."""
    model: str
    """The model for people."""
    model_hash: str
    """SHA-256 of its weights."""


def compare_answers(
    asked: Sequence[Asked], writers: Sequence[Writer], *, count: int, max_tokens: int, seed: int
) -> Iterator[list[Comparison]]:
    """Yields comparisons of `count` different answers, some at a time, in the prompts' order.

    The writers take turns. A prompt to which not two different answers are found is left out.
    """
    for begin in range(0, len(asked), AT_ONCE):
        some = list(enumerate(asked[begin : begin + AT_ONCE], start=begin))
        found: dict[int, dict[str, Answer]] = {number: {} for number, _ in some}
        for attempt in range(1 + MOST_TRIES):
            for place in range(count):
                writer = writers[(place + attempt) % len(writers)]
                wanting = [
                    (number, each)
                    for number, each in some
                    if len(found[number]) < min(count, place + 1 if attempt == 0 else count)
                ]
                turn = attempt * count + place
                seeds = [seed + number * count * (1 + MOST_TRIES) + turn for number, _ in wanting]
                answers = _write(
                    writer, [each for _, each in wanting], max_tokens=max_tokens, seeds=seeds
                )
                for (number, _), answer in zip(wanting, answers, strict=True):
                    found[number].setdefault(answer.text.strip(), answer)
        yield [
            Comparison(prompt=each.prompt, answers=tuple(found[number].values()))
            for number, each in some
            if len(found[number]) > 1
        ]


def _write(
    writer: Writer, asked: Sequence[Asked], *, max_tokens: int, seeds: Sequence[int]
) -> list[Answer]:
    if not asked:
        return []
    tokenizer = writer.engine.tokenizer
    completions = writer.engine.generate(
        [writer.chat.prompt(Conversation(messages=each.prompt)) for each in asked],
        sampler=writer.sampler,
        max_tokens=max_tokens,
        seeds=list(seeds),
    )
    return [
        Answer(
            text=tokenizer.decode(completion.text_ids),
            ids=tuple(completion.text_ids),
            seed=seed,
            sampler=writer.told_sampler,
            model=writer.model,
            model_hash=writer.model_hash,
        )
        for completion, seed in zip(completions, seeds, strict=True)
    ]
