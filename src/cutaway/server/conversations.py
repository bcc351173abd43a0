"""The routes below /api/conversations: kept trees of messages, searched, changed and exported."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator

from cutaway.server.protocol import Refused, Strict, Text, within_depth
from cutaway.server.storage import ConversationStore, Kept, Node

LONGEST_DETAILS = 65_536
"""Characters of a message's details, written as JSON."""
DEEPEST_DETAILS = 32
"""Levels of objects and lists within each other."""
MOST_NODES = 4000
"""Messages of all branches of a conversation."""


def _is_small(value: dict[str, Any]) -> dict[str, Any]:
    within_depth(value, most=DEEPEST_DETAILS)
    if len(json.dumps(value)) > LONGEST_DETAILS:
        raise ValueError(f"has more than {LONGEST_DETAILS} characters")
    return value


NodeId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Title = Annotated[str, StringConstraints(max_length=200)]


class NodeForm(Strict):
    """One message in its tree."""

    id: NodeId
    """Made by whoever writes it, unique in the conversation."""
    parent: NodeId | None
    """The message before it, which stands earlier in the list; null: it begins."""
    role: Literal["user", "assistant"]
    content: Text
    details: Annotated[dict[str, Any], AfterValidator(_is_small)] = Field(default_factory=dict)
    """Anything that is to be read back, at most 65,536 characters of JSON."""


class ConversationForm(Strict):
    """A whole conversation as it is written."""

    title: Title
    system: Text = ""
    leaf: NodeId | None = None
    """The last message of the branch that was shown last."""
    messages: Annotated[list[NodeForm], Field(max_length=MOST_NODES)] = Field(default_factory=list)
    """All messages, a parent before its children."""

    @model_validator(mode="after")
    def _is_a_tree(self) -> "ConversationForm":
        known: set[str] = set()
        for node in self.messages:
            if node.id in known:
                raise ValueError(f"two messages have the id {node.id}")
            if node.parent is not None and node.parent not in known:
                raise ValueError(f"message {node.id} stands before its parent, or has none")
            known.add(node.id)
        if self.leaf is not None and self.leaf not in known:
            raise ValueError("leaf is no message of this conversation")
        return self


class TitleForm(Strict):
    """Another title."""

    title: Title


class EntryTold(BaseModel):
    """A conversation in the list."""

    id: str
    title: str
    created: str
    updated: str


class Entries(BaseModel):
    """The list, the newest first."""

    conversations: list[EntryTold]


class NodeTold(BaseModel):
    """One message in its tree."""

    id: str
    parent: str | None
    role: str
    content: str
    details: dict[str, Any]


class ConversationTold(EntryTold):
    """A whole conversation as it is read."""

    system: str
    leaf: str | None
    messages: list[NodeTold]


def conversations_router(store: ConversationStore) -> APIRouter:
    """The routes for the conversations of one store."""
    router = APIRouter(prefix="/api/conversations")

    @router.get("")
    def list_conversations(
        search: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: Annotated[str, Query(max_length=40)] = "",
    ) -> Entries:
        """The newest conversations, or those that were `updated` before a moment."""
        found = store.entries(search=search, limit=limit, before=before)
        return Entries(conversations=[EntryTold(**dataclasses.asdict(each)) for each in found])

    @router.post("")
    def create(form: ConversationForm) -> ConversationTold:
        """Keeps a new conversation."""
        return _told(store.add(_kept(form)))

    _add_exports(router, store)

    @router.get("/{id}")
    def show(id: str) -> ConversationTold:
        """A whole conversation."""
        return _told(store.get(id))

    @router.put("/{id}")
    def replace(id: str, form: ConversationForm) -> ConversationTold:
        """Writes a conversation anew."""
        return _told(store.replace(id, _kept(form)))

    @router.patch("/{id}")
    def rename(id: str, form: TitleForm) -> ConversationTold:
        """Gives a conversation another title."""
        return _told(store.rename(id, form.title))

    @router.delete("/{id}", status_code=204)
    def delete(id: str) -> None:
        """Takes a conversation away; it can be brought back for an hour."""
        if not store.delete(id):
            raise _missing()

    @router.post("/{id}/restore")
    def restore(id: str) -> ConversationTold:
        """Brings back what was deleted within the last hour."""
        return _told(store.restore(id))

    return router


def _add_exports(router: APIRouter, store: ConversationStore) -> None:
    @router.get("/export", response_class=Response, responses=_told_as("application/jsonl"))
    def export_all() -> StreamingResponse:
        """The branch shown last of every conversation, as lines that `cutaway finetune` reads."""
        return StreamingResponse(
            _lines(store),
            media_type="application/jsonl",
            headers={"Content-Disposition": 'attachment; filename="conversations.jsonl"'},
        )

    @router.get(
        "/{id}/export",
        response_class=Response,
        responses=_told_as("application/jsonl", "text/markdown"),
    )
    def export(
        id: str, form: Annotated[Literal["jsonl", "markdown"], Query(alias="as")] = "jsonl"
    ) -> Response:
        """The branch shown last: a line that `cutaway finetune` reads, or a text for people."""
        kept = store.get(id)
        if kept is None:
            raise _missing()
        said = kept.markdown() if form == "markdown" else kept.training_line() or ""
        kind = "text/markdown" if form == "markdown" else "application/jsonl"
        return Response(said, media_type=kind)


def _told_as(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """What the schema says of an answer that is no JSON."""
    return {200: {"content": {kind: {} for kind in kinds}}}


def _lines(store: ConversationStore) -> Iterator[str]:
    """Every conversation, read one by one, so that a million of them need no memory."""
    before = ""
    while entries := store.entries(limit=200, before=before):
        for entry in entries:
            kept = store.get(entry.id)
            if kept and (line := kept.training_line()):
                yield line
        before = entries[-1].updated


def _kept(form: ConversationForm) -> Kept:
    return Kept(
        title=form.title,
        system=form.system,
        leaf=form.leaf,
        messages=tuple(Node(**dict(node)) for node in form.messages),
    )


def _told(kept: Kept | None) -> ConversationTold:
    if kept is None:
        raise _missing()
    return ConversationTold.model_validate(dataclasses.asdict(kept))


def _missing() -> Refused:
    return Refused("there is no such conversation", status=404, code="not_found")
