"""A conversation with a model: what of it still fits the context, and the answer as it comes."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from cutaway.errors import UsageError
from cutaway.inference.engine import Engine
from cutaway.inference.request import Finished, Request, Token
from cutaway.inference.sampling import Sampler
from cutaway.text.conversations import Conversation, Message
from cutaway.tokenizer.chat import ChatFormat

MOST_CHARACTERS = 32
"""Characters for each token of the context: what is longer fits in no tokenizer, short of a desert
of spaces, so it is told to be too long without being read."""
RESERVED = 0.25
"""Share of the context that is kept free for an answer, unless the answer may not be as long."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What the model will read of a conversation."""

    prompt: list[int]
    """The ids, the marker of the answer last."""
    dropped: tuple[Message, ...]
    """The oldest messages, which did not fit."""


def fit(
    messages: Sequence[Message], *, chat: ChatFormat, context_length: int, max_tokens: int
) -> Fitted:
    """Leaves out the oldest questions with their answers until the rest and an answer fit.

    The system message and the last question always stay.

    Raises:
        UsageError: these two alone are too long, or there is no question.
    """
    reserved = min(max_tokens, max(1, int(RESERVED * context_length)))
    system = [message for message in messages[:1] if message.role == "system"]
    spoken = list(messages[len(system) :])
    questions = [place for place, message in enumerate(spoken) if message.role == "user"]
    if not questions:
        raise UsageError("nobody has asked anything; a conversation needs a message of the user")

    for message in system:
        require_readable(message.content, context_length=context_length)
    most = MOST_CHARACTERS * context_length
    behind = [*accumulate(len(message.content) for message in reversed(spoken))][::-1]

    def prompt(start: int) -> list[int]:
        return chat.prompt(Conversation(messages=(*system, *spoken[start:])))

    def fits(start: int) -> bool:
        return behind[start] <= most and len(prompt(start)) + reserved <= context_length

    # The fewer messages, the shorter: halving keeps the time linear in a conversation's length.
    first = bisect_left(questions, True, key=fits)
    if first < len(questions):
        start = questions[first]
        return Fitted(prompt=prompt(start), dropped=tuple(spoken[:start]))
    last = questions[-1]
    require_readable(spoken[last].content, context_length=context_length)
    length = len(prompt(last))
    raise UsageError(
        f"the message has {length} tokens with the system prompt, but this model reads "
        f"{context_length} at once,\n{reserved} of them for the answer: write a shorter one"
    )


def require_readable(text: str, *, context_length: int) -> None:
    """Refuses a text that is far too long for a context.

    Raises:
        UsageError: it has more than `MOST_CHARACTERS` for each token.
    """
    if len(text) > MOST_CHARACTERS * context_length:
        raise UsageError(
            f"the text has {len(text):,} characters, but this model reads {context_length:,} "
            f"tokens at once,\nnever more than {MOST_CHARACTERS * context_length:,} characters: "
            "give a shorter one"
        )


def answer(
    engine: Engine, prompt: Sequence[int], *, sampler: Sampler, max_tokens: int, seed: int
) -> Iterator[str]:
    """The text that follows a prompt, in whole characters, as the model writes it.

    What was read for earlier answers of the conversation is not read again. The engine must have
    nothing else to do.
    """
    request = Request(prompt=tuple(prompt), sampler=sampler, max_tokens=max_tokens, seed=seed)
    id_ = engine.submit(request)
    try:
        while not engine.is_idle:
            for event in engine.step():
                if event.id != id_:
                    continue  # the end of an answer that was left
                if isinstance(event, Token) and event.text:
                    yield event.text
                elif isinstance(event, Finished) and event.cause is not None:
                    raise event.cause
    finally:
        engine.cancel(id_)
