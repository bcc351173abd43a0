"""Conversations in, ids out: the only file that knows the role markers.

Our own layout is `<|endoftext|>`, then for each message `<|role|>` content `<|end|>`. It is built
from ids, never from text: a message that spells a marker is encoded as letters, so nobody can speak
in another's name.
"""

from collections.abc import Sequence
from typing import final

from cutaway.errors import CheckpointError
from cutaway.text.conversations import Conversation, Message
from cutaway.tokenizer.base import ASSISTANT, END, END_OF_TEXT, SYSTEM, USER, Tokenizer
from cutaway.tokenizer.layout import ChatIds, Layout
from cutaway.tokenizer.template import TemplateLayout

_MARKERS = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}

CHAT_TEMPLATE = (
    "{{- '<|endoftext|>' -}}\n"
    "{%- for message in messages -%}\n"
    "{%- if message['role'] not in ['system', 'user', 'assistant'] -%}\n"
    "{{- raise_exception('the roles are system, user and assistant') -}}\n"
    "{%- endif -%}\n"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}\n"
)
"""The layout for programs that read `chat_template.jinja`; those find the markers in the text."""


@final
class ChatFormat:
    """Writes conversations as the model reads them: by our markers, or by its own template.

    Raises:
        CheckpointError: the tokenizer has neither.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        template = tokenizer.customs.template
        self._layout: Layout = (
            MarkerLayout(tokenizer)
            if template is None
            else TemplateLayout(tokenizer, template=template)
        )

    @property
    def stop_ids(self) -> frozenset[int]:
        """The ids that end an answer."""
        return self._layout.stop_ids

    def encode(self, conversation: Conversation) -> ChatIds:
        """The ids of a whole conversation, to learn from or to score."""
        return self._layout.encode(conversation)

    def prompt(self, conversation: Conversation) -> list[int]:
        """The ids that ask for an answer: the messages so far, then the assistant's marker."""
        must_want_an_answer(conversation.messages)
        return self._layout.prompt(conversation)


@final
class MarkerLayout(Layout):
    """Writes conversations with a tokenizer that has the role markers."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        missing = [
            name for name in (END_OF_TEXT, *_MARKERS.values(), END) if name not in tokenizer.special
        ]
        if missing:
            raise CheckpointError(
                f"This tokenizer cannot chat: it has no {', '.join(missing)}.\n"
                "Use a tokenizer trained by `cutaway tokenizer`, or a model fine-tuned with one."
            )
        self._tokenizer = tokenizer
        self._end = tokenizer.special[END]
        self._start = tokenizer.special[END_OF_TEXT]
        self._roles = {role: tokenizer.special[name] for role, name in _MARKERS.items()}

    @property
    def stop_ids(self) -> frozenset[int]:
        return frozenset({self._end, self._start})

    def encode(self, conversation: Conversation) -> ChatIds:
        ids, learned = [self._start], [False]
        contents = self._tokenizer.encode_batch(
            [message.content for message in conversation.messages]
        )
        for message, content in zip(conversation.messages, contents, strict=True):
            ids += [self._roles[message.role], *content, self._end]
            learned += [False] + [message.role == "assistant"] * (len(content) + 1)
        return ChatIds(ids=ids, learned=learned)

    def prompt(self, conversation: Conversation) -> list[int]:
        return [*self.encode(conversation).ids, self._roles["assistant"]]


def must_want_an_answer(messages: Sequence[Message]) -> None:
    """Raises ValueError where the last message is the assistant's."""
    if messages and messages[-1].role == "assistant":
        raise ValueError("the last message is the assistant's; a prompt ends with another's")
