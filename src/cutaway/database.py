"""The one door to databases: SQLite in a file by default, PostgreSQL by its URL.

What is committed survives a crash and a power cut; a writer waits for another; and what goes wrong
is told without the password that the URL may hold.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import sqlalchemy
from sqlalchemy import Engine, MetaData, Table, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url

from cutaway.errors import ConfigError, DataError, ResourceError, UsageError

FILE_NAME = "cutaway.db"
"""The database of a run folder, for conversations and judgements alike."""
MOST_WAITING_S = 30
"""Seconds that a writer waits for another one."""
MOST_ROWS = 500
"""Rows that are sent at once."""

_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}


def url_of_file(path: Path) -> str:
    """The URL of a SQLite database in a file."""
    return URL.create(_DRIVERS["sqlite"], database=str(path)).render_as_string()


def open_database(url: str) -> Engine:
    """Connects to a database, which is made where it is a SQLite file that is not there.

    Raises:
        ConfigError: the URL is none, or of another kind of database.
        UsageError: the driver is not installed.
        ResourceError: the server does not answer, or the file cannot be opened.
        DataError: the file is no database.
    """
    parsed = _parsed(url)
    try:
        # What people wrote belongs in no log.
        engine = sqlalchemy.create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    except ImportError as error:
        raise UsageError(
            f"{told(url)}: the driver is not installed ({error})\n"
            "pip install 'psycopg[binary]', or leave the URL out to keep all in the run folder"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    with database_errors(url), engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    return engine


def create_tables(engine: Engine, metadata: MetaData, *, url: str) -> None:
    """Makes the tables that are not there yet; several processes may do so at once.

    Raises:
        DataError: a table is there, but without a column that this version needs.
    """
    with database_errors(url):
        try:
            metadata.create_all(engine)
        except (exc.OperationalError, exc.ProgrammingError, exc.IntegrityError):
            metadata.create_all(engine)  # another process made them between looking and making
        inspector = sqlalchemy.inspect(engine)
        for table in metadata.sorted_tables:
            found = {column["name"] for column in inspector.get_columns(table.name)}
            if missing := [column.name for column in table.columns if column.name not in found]:
                raise DataError(
                    f"{told(url)}: the table {table.name} has no {', '.join(missing)}\n"
                    "another version or another program made it: export with that one, "
                    "and give a new database"
                )


def insert_new(
    connection: sqlalchemy.Connection, table: Table, rows: Sequence[dict[str, Any]]
) -> int:
    """Adds the rows whose keys are not there yet, and counts them."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    added = 0
    for begin in range(0, len(rows), MOST_ROWS):
        # Counted by what comes back: not every driver says how many rows were really added.
        statement = insert(table).values(list(rows[begin : begin + MOST_ROWS]))
        counted = statement.on_conflict_do_nothing().returning(*table.primary_key)
        added += len(connection.execute(counted).all())
    return added


def storable(text: str) -> str:
    """The text with what no database takes (NUL, halves of surrogate pairs) marked as lost."""
    return text.replace("\0", "\ufffd").encode("utf-8", errors="replace").decode("utf-8")


def told(url: str) -> str:
    """The URL as it may be shown, without its password; of a file, the path."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        return url.split("@")[-1][:160]
    if parsed.get_backend_name() == "sqlite":
        return parsed.database or ":memory:"
    return parsed.render_as_string(hide_password=True)[:160]


@contextmanager
def database_errors(url: str) -> Iterator[None]:
    """Tells in our words what a database refuses."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except exc.DBAPIError as error:
        said = (str(error.orig).strip().splitlines() or ["it does not answer"])[0][:200]
        if isinstance(error.orig, sqlite3.DatabaseError) and "not a database" in said:
            raise DataError(
                f"{told(url)}: the file is no database\ngive another one, or move it away"
            ) from error
        raise ResourceError(
            f"{told(url)}: {said}\n"
            "see that the database is there, may be written and is not full; "
            "what was stored before stays"
        ) from error


def _parsed(url: str) -> URL:
    allowed = "allowed: sqlite:///PATH/cutaway.db, postgresql://USER:PASSWORD@HOST/DATABASE"
    try:
        parsed = make_url(url)
        kind: Literal["sqlite", "postgresql"] | str = parsed.get_backend_name()
    except (exc.ArgumentError, ValueError) as error:
        raise ConfigError(f"{told(url)!r} is no URL of a database\n{allowed}") from error
    if kind not in _DRIVERS:
        raise ConfigError(f"{told(url)!r}: {kind[:40]} is not supported\n{allowed}")
    return parsed.set(drivername=_DRIVERS[kind])


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    cursor = connection.cursor()
    # Readers and a writer at once; and what is committed is on the disk, whatever happens then.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.execute(f"PRAGMA busy_timeout={MOST_WAITING_S * 1000}")
    cursor.close()
