"""Databases for tests: a PostgreSQL server of our own, and one migrated database a test.

The server is started once for each process of pytest, from PATH or Debian's folders, as a user that is
not root (PostgreSQL refuses root), without fsync: what a test writes need not survive the machine. Its files lie in
memory where there is room: a database is 300 files, and to make them on a disk can cost twenty times as much.
"""

import asyncio
import itertools
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from directory.database import Database
from directory.migrations import migrate

MEMORY = Path("/dev/shm")  # noqa: S108 - nobody else can make a name in what mkdtemp makes there
ROOM_BYTES = 2 << 30
"""Free bytes below which a server's files do not lie in memory: a container is often given 64 MiB."""

_START_S = 30.0
_TEMPLATE = "mchat_template"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server: where it listens, and whom it lets in without a password."""

    host: str
    port: int
    folder: Path
    user: str = "postgres"

    def url(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://{self.user}@{self.host}:{self.port}/{database}"

    def execute(self, command: sql.Composed) -> None:
        """Run one command on the maintenance database, outside a transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(command)

    def create(self, name: str, template: str | None = None) -> str:
        """Make a database and return its URL."""
        command = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            command += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self.execute(command)
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def find_binaries() -> Path | None:
    """Return the folder of `initdb` and `postgres`: that of PATH, else Debian's newest."""
    found = shutil.which("initdb")
    if found is not None and (Path(found).resolve().parent / "postgres").exists():
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    return None if newest is None else newest.parent


def missing(what: str) -> None:
    """Skip loudly where something is not installed; fail where CI promises that it is."""
    message = f"{what} is not installed: apt-get install postgresql, or put it on PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at this moment, and that is given to no other test soon.

    Each worker of pytest has its own, one after the other, below those that the system gives to connections that go
    out: what somebody else took between its choice and its use would answer in its place.
    """
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("they never end")


def _ports(worker: int, workers: int) -> Iterator[int]:
    """Go round a worker's share of the ports, from anywhere in it."""
    share = range(10_000 + worker, 32_000, workers)
    # Not by `random`: hypothesis would give each process the same ones.
    begin = secrets.randbelow(len(share))
    return itertools.cycle([*share[begin:], *share[:begin]])


_PORTS = _ports(
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)


def in_memory(place: Path = MEMORY) -> Path | None:
    """The folder whose files lie in memory; None where there is none, or too little room in it."""
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return None
    room = os.statvfs(place)
    return place if room.f_bavail * room.f_frsize >= ROOM_BYTES else None


@contextmanager
def running_postgres(binaries: Path, place: Path | None = None) -> Iterator[PostgresServer]:
    """Run a server in a folder of its own, on a socket there and on 127.0.0.1.

    Args:
        binaries: the folder of its programs.
        place: the folder that its own is made in; None: that of temporary files.
    """
    # Not pytest's own folder: its parents are closed to other users, and a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="mchat-pg-", dir=place))
    owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    as_owner: dict[str, object] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam(owner)
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    environment = {"PATH": f"{binaries}:{os.defpath}", "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    data = folder / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
        **as_owner,  # type: ignore[call-overload]
    )
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": 200,
        "shared_buffers": "64MB",
        "max_wal_size": "256MB",  # of memory, perhaps
        "log_min_messages": "fatal",
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, *options],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            **as_owner,  # type: ignore[call-overload]
        )
    try:
        server = PostgresServer("127.0.0.1", port, folder)
        _await_answer(server, process, folder / "log")
        yield server
    finally:
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        process.send_signal(2)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _await_answer(server: PostgresServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2_000:]}") from error
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    binaries = find_binaries()
    if binaries is None:
        missing("PostgreSQL")
        return
    with running_postgres(binaries, in_memory()) as server:
        yield server


async def _migrated(url: str) -> None:
    database = Database.open(url)
    try:
        await migrate(database)
    finally:
        await database.close()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a migrated database to copy: 20 ms instead of a migration for each test."""
    asyncio.run(_migrated(postgres_server.create(_TEMPLATE)))
    return _TEMPLATE


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "mchat.db"
    asyncio.run(_migrated(f"sqlite:///{path}"))
    return path


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database of this test's own."""
    name = f"mchat_{uuid4().hex}"
    yield postgres_server.create(name, postgres_template)
    postgres_server.drop(name)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite database of this test's own."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'mchat.db')}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database of this test's own, on both databases in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database of this test's own, open, on both databases in turn."""
    opened = Database.open(database_url)
    yield opened
    await opened.close()
