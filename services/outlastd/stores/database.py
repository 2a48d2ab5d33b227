"""Opens the database file, and says in one line why it cannot be opened or used."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from outlast.core.errors import OutlastError, StartRefused, StoreRefused, StoreUnavailable
from outlastd.stores.sqlite_migrations import migrate

#: Seconds to wait for another process that writes.
BUSY_TIMEOUT = 5.0
#: Bytes up to which every page is checked at the start; what is larger would make the start slow.
MAX_CHECKED = 64 * 1024 * 1024
#: Bytes that the write-ahead log may keep after a burst.
MAX_KEPT_LOG = 64 * 1024 * 1024

#: What the first byte of an error code of SQLite means, for people.
_CAUSES = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_BUSY: "another process holds the database",
    sqlite3.SQLITE_LOCKED: "another process holds the database",
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_IOERR: "the disk fails, is full, or a limit on file sizes is reached",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_NOTADB: "the database is damaged",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
}
_CURES = {
    sqlite3.SQLITE_FULL: "make room, or choose another file for the store",
    sqlite3.SQLITE_BUSY: "stop the other process, or choose another file for the store",
    sqlite3.SQLITE_LOCKED: "stop the other process, or choose another file for the store",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable, or choose another file for the store",
    sqlite3.SQLITE_IOERR: "look at the disk, the room on it and `ulimit -f`, or choose another file for the store",
    sqlite3.SQLITE_CORRUPT: "move it away to start with an empty one, or restore a copy of it",
    sqlite3.SQLITE_NOTADB: "it is no database; move it away, or choose another file for the store",
    sqlite3.SQLITE_CANTOPEN: "make its folder writable, or choose another file for the store",
}
#: What SQLite and its binding raise for values that they will never take.
_REFUSED = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    TypeError,
    ValueError,  # UnicodeEncodeError among them: lone surrogates
)


def connect_to_write(path: Path) -> sqlite3.Connection:
    """Open the file for the one thread of this process that writes; make it, and its folder, when there is none.

    Raises:
        StartRefused: it cannot be used; the message is one line that names cause and cure.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(
            f"the store's folder {path.parent} cannot be made ({error.strerror}): choose another file for the store"
        ) from error
    if path.is_dir():
        raise StartRefused(f"the store {path} is a folder: name a file in it")
    try:
        connection = _connect(path)
        with _closed_on_error(connection):
            _write_ahead(connection, path)
            _check(connection, path)
            migrate(connection, f"the store {path}")
    except sqlite3.Error as error:
        cure = _CURES.get(_primary_code(error), "choose another file for the store")
        raise StartRefused(f"the store {path} cannot be used: {explain(error)}: {cure}") from error
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open the file for a thread that only reads. The writer has opened it before."""
    connection = _connect(path)
    with _closed_on_error(connection):
        connection.execute("PRAGMA query_only = ON")
    return connection


def explain(error: sqlite3.Error) -> str:
    """Return the cause of an error of SQLite in words, and SQLite's own."""
    cause = _CAUSES.get(_primary_code(error))
    name = getattr(error, "sqlite_errorname", "")
    return f"{cause} ({name}: {error})" if cause else str(error)


def answer_for(error: Exception) -> Exception:
    """Return what the port promises for an error; one that is no database's and no value's stays what it is."""
    if isinstance(error, OutlastError):
        return error
    if isinstance(error, _REFUSED):
        return StoreRefused(f"the database refuses it: {error}")
    if isinstance(error, sqlite3.Error):
        return StoreUnavailable(explain(error))
    return error


def _connect(path: Path) -> sqlite3.Connection:
    # Absolute: ":memory:" is the name of a file. isolation_level None: the transactions are ours, not the module's.
    connection = sqlite3.connect(path.absolute(), timeout=BUSY_TIMEOUT, isolation_level=None, cached_statements=256)
    with _closed_on_error(connection):
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone does not reach the disk there
        connection.execute(f"PRAGMA journal_size_limit = {MAX_KEPT_LOG}")
    return connection


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Close a connection that turns out to be of no use."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _write_ahead(connection: sqlite3.Connection, path: Path) -> None:
    """Switch the file to write-ahead logging, which stays with it."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            # The switch itself does not wait for another process that is opening the file too.
            if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise StartRefused(
            f"the store {path} lies on a file system without shared memory, which write-ahead logging needs: "
            "choose a file on a local disk"
        )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if os.stat(path).st_size > MAX_CHECKED:
        return
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise StartRefused(
            f"the store {path} is damaged ({' '.join(finding.split())}): {_CURES[sqlite3.SQLITE_CORRUPT]}"
        )


def _primary_code(error: sqlite3.Error) -> int:
    """Return the kind of an error; the upper bytes of SQLite's code only refine it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
