"""What OpenAI's clients send, and the form in which they are told that it was wrong.

Strict: a field of another type, out of its range or unknown is refused, never guessed at.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cutaway.text.conversations import MOST_CHARACTERS, MOST_MESSAGES

MOST_ANSWERS = 16
"""Answers to one request: its prompts, each times `n`."""
MOST_STOPS = 16
"""Texts that end an answer."""
MOST_RIVALS = 20
"""Alternatives that are told beside each token."""

Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Stop = Annotated[str, Field(min_length=1, max_length=512)]
NotOffered = Annotated[float, Field(ge=0.0, le=0.0)]


class Strict(BaseModel):
    """A table whose every field is known."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamOptions(Strict):
    """What a stream holds besides the answer."""

    include_usage: bool = False
    """Whether a last piece counts the tokens."""


class TextFormat(Strict):
    """The form of an answer: any text."""

    type: Literal["text"]


class TextPart(Strict):
    """A piece of a message; only text is read, and no address is ever fetched."""

    type: Literal["text"]
    text: Text


class ChatMessage(Strict):
    """What one side said."""

    role: Literal["system", "developer", "user", "assistant"]
    """Who speaks; a developer is read as the system."""
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(max_length=64)] | None = None
    """Passed over: the models know roles and no names."""

    @property
    def text(self) -> str:
        """The whole content."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class Asked(Strict):
    """What both kinds of request share."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    """A name that GET /v1/models tells."""
    stream: bool | None = False
    """Whether the answer is sent while it is written."""
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=8)] | None = 1
    """Answers to each prompt; each takes the following seed."""
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    """Texts that end the answer and are no part of it."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    """The same seed and request give the same answer; none: one is drawn, and told."""
    temperature: Annotated[float, Field(ge=0.0, le=100.0)] | None = 1.0
    """0: the most probable token always."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Choose among the fewest tokens that reach this probability."""
    top_k: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    """Choose among this many tokens (not in OpenAI's own API)."""
    min_p: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    """Choose among tokens at least this share as probable as the best (not in OpenAI's own)."""
    presence_penalty: NotOffered | None = 0.0
    """Only 0, which many clients send."""
    frequency_penalty: NotOffered | None = 0.0
    """Only 0, which many clients send."""
    user: Annotated[str, Field(max_length=256)] | None = None
    """Passed over: nobody is told apart."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer, however they were given."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the count of its tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Asked):
    """POST /v1/chat/completions; a last message of the assistant is gone on with."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MOST_MESSAGES)]
    max_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    """The most tokens of an answer; none: as many as the context has room for."""
    max_completion_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    """The newer name of the same."""
    logprobs: bool | None = False
    """Whether each token is told with its probability."""
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_RIVALS)] | None = None
    """How many alternatives are told beside each token; needs `logprobs`."""
    response_format: TextFormat | None = None


class CompletionRequest(Asked):
    """POST /v1/completions: goes on with a text, or with ids."""

    prompt: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MOST_ANSWERS)]
        | Annotated[list[TokenId], Field(min_length=1, max_length=2**18)]
        | Annotated[
            list[Annotated[list[TokenId], Field(min_length=1, max_length=2**18)]],
            Field(min_length=1, max_length=MOST_ANSWERS),
        ]
    )
    max_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = 16
    """The most tokens of an answer."""
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    """How many alternatives are told beside each token; none: no probabilities at all."""


class TokensRequest(Strict):
    """POST /api/tokens: how much of the context a conversation takes."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[ChatMessage], Field(max_length=MOST_MESSAGES)]


class Refused(Exception):
    """A request that is not answered, in OpenAI's form."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status = message, status
        self.code, self.param, self.headers = code, param, headers

    @property
    def body(self) -> dict[str, Any]:
        """The JSON that is sent."""
        return error_body(self.message, status=self.status, code=self.code, param=self.param)


def error_body(
    message: str, *, status: int, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """An error in the form that OpenAI's clients read."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
