"""What OpenAI's clients send, and the form in which they are told that it was wrong.

Strict: a field of another type, out of its range or unknown is refused, never guessed at.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cutaway.text.conversations import MOST_CHARACTERS, MOST_MESSAGES

MOST_ANSWERS = 16
"""Answers to one request: its prompts, each times `n`."""
MOST_INPUTS = 2048
"""Texts of one request that are turned into vectors."""
MOST_STOPS = 16
"""Texts that end an answer."""
MOST_RIVALS = 20
"""Alternatives that are told beside each token."""

Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Line = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Stop = Annotated[str, Field(min_length=1, max_length=512)]
TokenKey = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100.0, le=100.0)]
DEEPEST = 64
"""Levels of objects and lists in a schema or the parameters of a tool."""


def within_depth(value: Any, *, most: int = DEEPEST) -> Any:
    """The value, if it is flat enough; measured level by level, so that a deep one does no harm."""
    level: list[Any] = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if level:
        raise ValueError(f"is more than {most} levels deep")
    return value


AnyObject = Annotated[dict[str, Any], AfterValidator(within_depth)]


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


class JsonFormat(Strict):
    """The form of an answer: any JSON object."""

    type: Literal["json_object"]


class JsonSchema(Strict):
    """A schema and its name."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: Text | None = None
    schema_: AnyObject = Field(default_factory=dict, alias="schema")
    strict: bool | None = None
    """Passed over: the form is always kept to."""


class SchemaFormat(Strict):
    """The form of an answer: JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class ToolFunction(Strict):
    """A function that the model is told about."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: Text | None = None
    parameters: AnyObject | None = None
    strict: bool | None = None


class Tool(Strict):
    """A tool, as data for the model to read; the server calls nothing."""

    type: Literal["function"]
    function: ToolFunction


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
    refusal: None = None
    """Passed over: an answer has it, and clients send an answer back as they got it."""

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
    presence_penalty: Annotated[float, Field(ge=-2.0, le=2.0)] | None = 0.0
    """Above 0: what was written becomes less likely."""
    frequency_penalty: Annotated[float, Field(ge=-2.0, le=2.0)] | None = 0.0
    """Above 0: less likely each time that it was written."""
    repetition_penalty: Annotated[float, Field(gt=0.0, le=10.0)] | None = 1.0
    """Above 1: what was read or written becomes less likely (not in OpenAI's own API)."""
    logit_bias: Annotated[dict[TokenKey, Bias], Field(max_length=1024)] | None = None
    """Added to the logits of these token ids."""
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
    response_format: (
        Annotated[TextFormat | JsonFormat | SchemaFormat, Field(discriminator="type")] | None
    ) = None
    """The form that the answer must have."""
    tools: Annotated[list[Tool], Field(max_length=64)] | None = None
    """Told to the model in its system message."""
    tool_choice: Literal["none", "auto"] | None = None
    """none: the model is not told of the tools."""
    parallel_tool_calls: bool | None = None
    """Passed over: the server calls nothing."""
    store: Literal[False] | None = None
    """Conversations are kept by /api/conversations alone."""


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


class EmbeddingRequest(Strict):
    """POST /v1/embeddings: a vector for each text, or for each row of ids."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    """The name of an encoder that GET /v1/models tells."""
    input: (
        Line
        | Annotated[list[Line], Field(min_length=1, max_length=MOST_INPUTS)]
        | Annotated[list[TokenId], Field(min_length=1, max_length=2**18)]
        | Annotated[
            list[Annotated[list[TokenId], Field(min_length=1, max_length=2**18)]],
            Field(min_length=1, max_length=MOST_INPUTS),
        ]
    )
    encoding_format: Literal["float", "base64"] | None = None
    """Numbers, or the bytes of little-endian fp32 numbers in base64."""
    dimensions: Annotated[int, Field(ge=1, lt=2**20)] | None = None
    """The width of the vectors; they have one only."""
    user: Annotated[str, Field(max_length=256)] | None = None
    """Passed over: nobody is told apart."""


class Failure(BaseModel):
    """What was wrong."""

    message: str
    """In a sentence."""
    type: str
    """The kind of error."""
    param: str | None
    """The field that it is about."""
    code: str | None
    """The error's name, where it has one."""


class ErrorBody(BaseModel):
    """The form of every error, as OpenAI's clients read it."""

    error: Failure


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
