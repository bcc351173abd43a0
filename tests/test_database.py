"""Databases are opened by URL, and what goes wrong is told without the password."""

from pathlib import Path

import pytest
import sqlalchemy

from cutaway.database import create_tables, open_database, storable, told, url_of_file
from cutaway.errors import MOST_LINES, ConfigError, DataError, ResourceError


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("no url", ConfigError, "is no URL of a database"),
        ("mysql://u:secret@h/d", ConfigError, "mysql is not supported"),
        ("sqlite:////nowhere/at/all/x.db", ResourceError, "unable to open database file"),
        ("postgresql://u:secret@127.0.0.1:1/d", ResourceError, r"u:\*\*\*@127.0.0.1"),
    ],
)
def test_a_database_that_cannot_be_opened_is_told(url: str, error: type[Exception], message: str):
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    with pytest.raises(error, match=message) as raised:
        open_database(url)
    assert "secret" not in str(raised.value)
    assert len(str(raised.value).splitlines()) <= MOST_LINES


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path):
    path = tmp_path / "notes.db"
    path.write_text("not a database, but notes\n" * 40)
    with pytest.raises(DataError, match="the file is no database"):
        open_database(url_of_file(path))
    assert path.read_text().startswith("not a database")


def test_a_table_of_another_version_is_named_with_what_it_lacks(tmp_path: Path):
    url = url_of_file(tmp_path / "x.db")
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE talks (a INTEGER)"))
    metadata = sqlalchemy.MetaData()
    columns = [sqlalchemy.Column(name, sqlalchemy.Integer) for name in "ab"]
    sqlalchemy.Table("talks", metadata, *columns)
    with pytest.raises(DataError, match="the table talks has no b"):
        create_tables(engine, metadata, url=url)
    engine.dispose()


def test_a_path_with_odd_characters_is_a_url_and_back(tmp_path: Path):
    path = tmp_path / "a b?c%d#e.db"
    engine = open_database(url_of_file(path))
    engine.dispose()
    assert path.is_file()
    assert told(url_of_file(path)) == str(path)


def test_text_that_can_be_stored_stays_as_it_is():
    assert storable("naïve 你好 \n\t") == "naïve 你好 \n\t"
