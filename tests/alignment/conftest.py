"""Databases to test the store on: SQLite in a file, and a PostgreSQL that is started for it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cutaway.alignment.judgements import Answer, Comparison
from cutaway.alignment.preferences import PreferenceStore
from cutaway.database import url_of_file
from cutaway.text.conversations import Message

POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
FAST = "-c fsync=off -c full_page_writes=off -c shared_buffers=16MB -c max_connections=20"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of an empty PostgreSQL from Debian's packages, of this test run alone."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    if not POSTGRESQL:
        pytest.skip("Debian's package postgresql is not installed")
    tools = POSTGRESQL[-1]
    # Not among pytest's own folders: another run of pytest that begins shuts them to other users.
    folder = Path(tempfile.mkdtemp(prefix="cutaway-postgresql-"))
    # The server refuses to run as root; Debian's package has a user for it.
    user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if user:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

    def call(*command: str) -> None:
        subprocess.run(
            [tools / command[0], *command[1:]],
            check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user,
        )  # fmt: skip

    data = str(folder / "data")
    call("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} {FAST}"
    call("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, one of each kind."""
    if request.param == "sqlite":
        return url_of_file(tmp_path / "cutaway.db")
    server: str = request.getfixturevalue("postgresql")
    import psycopg

    name = f"test_{abs(hash(request.node.nodeid)) % 10**12}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
    return server.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def store(url: str) -> Iterator[PreferenceStore]:
    """An empty store on each kind of database."""
    opened = PreferenceStore(url)
    yield opened
    opened.close()


def compared(question: str, *answers: str) -> Comparison:
    """A comparison of answers that a model gave."""
    return Comparison(
        prompt=(Message(role="user", content=question),),
        answers=tuple(
            Answer(
                text=text,
                ids=tuple(map(ord, text)),
                seed=seed,
                sampler="temperature 0.8",
                model="runs/test",
                model_hash="ab" * 32,
            )
            for seed, text in enumerate(answers)
        ),
    )
