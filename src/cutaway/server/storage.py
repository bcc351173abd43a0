"""Conversations, each a tree of messages: another answer is a sibling, an edit is a branch.

They are kept in the database of the run folder, beside the judgements. What is deleted can be
brought back for a while, and is then really gone.
"""

import datetime
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final

import sqlalchemy
from sqlalchemy import Column, Float, ForeignKey, Integer, MetaData, Table, Text, exc

from cutaway.database import create_tables, database_errors, insert_new, open_database, storable

RESTORED_WITHIN_S = 3600.0
"""Seconds in which a deleted conversation can be brought back."""

_METADATA = MetaData()
_CONVERSATIONS = Table(
    "conversations",
    _METADATA,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("leaf", Text),
    Column("created", Text, nullable=False),
    Column("updated", Text, nullable=False, index=True),
    Column("deleted", Float),
)
_MESSAGES = Table(
    "conversation_messages",
    _METADATA,
    Column(
        "conversation", Text, ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("id", Text, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("parent", Text),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("details", Text, nullable=False),
)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One message in its tree."""

    id: str
    """Made by whoever writes it, unique in the conversation."""
    parent: str | None
    """The message before it; None: it begins the conversation."""
    role: Literal["user", "assistant"]
    content: str
    details: dict[str, Any] = field(default_factory=dict)
    """What a page wants to read back."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A whole conversation."""

    title: str
    system: str
    """The system message; empty: none."""
    leaf: str | None
    """The last message of the branch that was shown last."""
    messages: tuple[Node, ...]
    """Every message, a parent before its children."""
    id: str = ""
    created: str = ""
    updated: str = ""

    def branch(self) -> list[Node]:
        """The messages from the first one to the leaf, or to the newest one."""
        by_id = {node.id: node for node in self.messages}
        newest = self.messages[-1].id if self.messages else None
        place, path = self.leaf if self.leaf in by_id else newest, []
        while place is not None and place in by_id:
            path.append(by_id.pop(place))
            place = path[-1].parent
        return path[::-1]

    def training_line(self) -> str | None:
        """The branch as a line that `cutaway finetune` reads; None: there is nothing to learn."""
        said: list[dict[str, str]] = []
        for node in self.branch():
            wanted = "assistant" if len(said) % 2 else "user"
            if node.role != wanted or not node.content.strip():
                break
            said.append({"role": node.role, "content": node.content})
        said = said[: len(said) // 2 * 2]
        if not said:
            return None
        if self.system.strip():
            said.insert(0, {"role": "system", "content": self.system})
        return json.dumps({"messages": said}, ensure_ascii=False) + "\n"

    def markdown(self) -> str:
        """The branch to read."""
        parts = [f"# {self.title}"]
        if self.system:
            parts.append(f"*{self.system}*")
        parts += [f"**{node.role}**\n\n{node.content}" for node in self.branch()]
        return "\n\n".join(parts) + "\n"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A conversation in the list."""

    id: str
    title: str
    created: str
    updated: str


@final
class ConversationStore:
    """The conversations in one database; may be used from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = open_database(url)
        create_tables(self._engine, _METADATA, url=url)
        self._forget()

    def close(self) -> None:
        """Gives the connections back."""
        self._engine.dispose()

    def entries(self, *, search: str = "", limit: int = 50, before: str = "") -> list[Entry]:
        """The newest conversations, those with these words in the title or a message."""
        table = _CONVERSATIONS
        asked = sqlalchemy.select(table.c.id, table.c.title, table.c.created, table.c.updated)
        asked = asked.where(table.c.deleted.is_(None))
        if before:
            asked = asked.where(table.c.updated < storable(before))
        for word in storable(search).split()[:16]:
            inside = sqlalchemy.select(_MESSAGES.c.conversation).where(
                _MESSAGES.c.content.icontains(word, autoescape=True)
            )
            title = table.c.title.icontains(word, autoescape=True)
            asked = asked.where(title | table.c.id.in_(inside))
        asked = asked.order_by(table.c.updated.desc(), table.c.id).limit(limit)
        with database_errors(self._url), self._engine.connect() as connection:
            return [Entry(**row._mapping) for row in connection.execute(asked)]

    def add(self, kept: Kept) -> Kept:
        """Keeps a new conversation and returns it with its id."""
        id_, now = secrets.token_hex(8), _now()
        with database_errors(self._url), self._engine.begin() as connection:
            row = {"id": id_, "created": now, **_row(kept, now=now)}
            connection.execute(_CONVERSATIONS.insert().values(row))
            _write_messages(connection, id_, kept.messages)
        return self._whole(id_)

    def get(self, id_: str) -> Kept | None:
        """A whole conversation, if it is there."""
        id_ = storable(id_)
        with database_errors(self._url), self._engine.connect() as connection:
            row = connection.execute(
                _CONVERSATIONS.select().where(
                    _CONVERSATIONS.c.id == id_, _CONVERSATIONS.c.deleted.is_(None)
                )
            ).one_or_none()
            if row is None:
                return None
            messages = connection.execute(
                _MESSAGES.select()
                .where(_MESSAGES.c.conversation == id_)
                .order_by(_MESSAGES.c.place)
            )
            nodes = tuple(_node(each) for each in messages)
        return Kept(
            id=row.id,
            title=row.title,
            system=row.system,
            leaf=row.leaf,
            created=row.created,
            updated=row.updated,
            messages=nodes,
        )

    def replace(self, id_: str, kept: Kept) -> Kept | None:
        """Writes a conversation anew, if it is there."""
        id_ = storable(id_)
        with database_errors(self._url), self._engine.begin() as connection:
            if not self._update(connection, id_, _row(kept, now=_now())):
                return None
            connection.execute(_MESSAGES.delete().where(_MESSAGES.c.conversation == id_))
            _write_messages(connection, id_, kept.messages)
        return self._whole(id_)

    def rename(self, id_: str, title: str) -> Kept | None:
        """Gives a conversation another title, if it is there."""
        with database_errors(self._url), self._engine.begin() as connection:
            if not self._update(connection, storable(id_), {"title": storable(title)}):
                return None
        return self.get(id_)

    def delete(self, id_: str) -> bool:
        """Takes a conversation away; says whether it was there."""
        self._forget()
        now = datetime.datetime.now(datetime.UTC).timestamp()
        with database_errors(self._url), self._engine.begin() as connection:
            return self._update(connection, storable(id_), {"deleted": now})

    def restore(self, id_: str) -> Kept | None:
        """Brings back what was deleted a while ago."""
        table = _CONVERSATIONS
        with database_errors(self._url), self._engine.begin() as connection:
            connection.execute(
                table.update().where(table.c.id == storable(id_)).values(deleted=None)
            )
        return self.get(id_)

    def _whole(self, id_: str) -> Kept:
        found = self.get(id_)
        if found is None:  # another process has taken it away since
            raise exc.NoResultFound
        return found

    def _update(self, connection: sqlalchemy.Connection, id_: str, values: dict[str, Any]) -> bool:
        table = _CONVERSATIONS
        statement = table.update().where(table.c.id == id_, table.c.deleted.is_(None))
        return connection.execute(statement.values(values)).rowcount > 0

    def _forget(self) -> None:
        """Removes what was deleted too long ago to be brought back."""
        table = _CONVERSATIONS
        oldest = datetime.datetime.now(datetime.UTC).timestamp() - RESTORED_WITHIN_S
        with database_errors(self._url), self._engine.begin() as connection:
            connection.execute(table.delete().where(table.c.deleted < oldest))


def _row(kept: Kept, *, now: str) -> dict[str, Any]:
    return {
        "title": storable(kept.title),
        "system": storable(kept.system),
        "leaf": None if kept.leaf is None else storable(kept.leaf),
        "updated": now,
    }


def _write_messages(connection: sqlalchemy.Connection, id_: str, nodes: Sequence[Node]) -> None:
    rows = [
        {
            "conversation": id_,
            "id": storable(node.id),
            "place": place,
            "parent": None if node.parent is None else storable(node.parent),
            "role": node.role,
            "content": storable(node.content),
            "details": json.dumps(node.details),
        }
        for place, node in enumerate(nodes)
    ]
    insert_new(connection, _MESSAGES, rows)


def _node(row: Any) -> Node:
    return Node(
        id=row.id,
        parent=row.parent,
        role=row.role,
        content=row.content,
        details=json.loads(row.details),
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
