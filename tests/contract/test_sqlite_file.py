"""A file that cannot be used is one clear line; a file that goes bad later costs no record silently."""
# ruff: noqa: ASYNC240 - nothing but the test runs on its loop

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from outlast.core.errors import StartRefused, StoreUnavailable
from outlast.core.operation import Start
from outlastd.stores.port import TaskFilter
from outlastd.stores.sqlite import SQLiteTaskStore

from .making import DONE, START, operations, register, start_tasks


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SQLiteTaskStore]:
    """Open a store and close it."""
    store = await SQLiteTaskStore.open(path)
    try:
        yield store
    finally:
        await store.close()


async def refusal(path: Path) -> str:
    """Return why the store cannot be opened."""
    with pytest.raises(StartRefused) as refused:
        await SQLiteTaskStore.open(path)
    message = str(refused.value)
    assert "\n" not in message
    assert str(path) in message or str(path.parent) in message
    return message


def execute(path: Path, *statements: str) -> None:
    """Run statements on a connection that is not the store's."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


async def test_folder_is_made(tmp_path: Path) -> None:
    """The folder of the file is made when it is missing, for its owner only."""
    path = tmp_path / "a" / ".outlast" / "outlast.db"

    async with opened(path):
        assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_empty_file(database: Path) -> None:
    """An empty file is a new store."""
    database.touch()

    async with opened(database) as store:
        assert await store.list(TaskFilter(), 10) == []


async def test_path_is_a_folder(database: Path) -> None:
    """A folder in the place of the file is named."""
    database.mkdir()

    assert "is a folder" in await refusal(database)


async def test_folder_is_a_file(tmp_path: Path) -> None:
    """A file in the place of the folder is named: the cause that holds for root too."""
    (tmp_path / "file").touch()

    assert "cannot be made" in await refusal(tmp_path / "file" / "outlast.db")
    assert "cannot be made" in await refusal(tmp_path / "file" / "deeper" / "outlast.db")


async def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A path that the system does not open is named, with what to do."""
    link = tmp_path / "outlast.db"
    link.symlink_to(link)

    assert "cannot be opened" in await refusal(link)


async def test_not_a_database(database: Path) -> None:
    """A file that is no database is said to be none, and is left as it is."""
    database.write_bytes(b"# notes\n" * 1000)

    assert "no database" in await refusal(database)
    assert database.read_bytes() == b"# notes\n" * 1000


async def test_database_of_another_program(database: Path) -> None:
    """A SQLite file that outlast did not make is left alone."""
    execute(database, "CREATE TABLE songs (title TEXT)")

    assert "another program" in await refusal(database)


async def test_newer_schema(database: Path) -> None:
    """A file that a newer outlast has migrated is not touched; the cure is to upgrade."""
    async with opened(database) as store:
        await start_tasks(store, "worker", [1])
    execute(database, "PRAGMA user_version = 99", "UPDATE counters SET value = 98 WHERE name = 'compatible_from'")

    message = await refusal(database)

    assert "newer outlast (schema 99" in message
    assert "upgrade" in message


async def _fill(path: Path) -> None:
    async with opened(path) as store:
        # Large enough that most pages are theirs, and not an index's that nothing reads here.
        await start_tasks(store, "worker", range(1, 201), Start("research", metadata=b"x" * 1500))
        await store.apply("worker", operations(1, DONE, first=201))


async def _read(store: SQLiteTaskStore) -> None:
    for task_id in range(1, 201):
        await store.get(task_id)
        await store.events(task_id, 0, 10)


def _garbage_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = b"\xa5" * 8192
    path.write_bytes(content)


def _garbage_in_the_schema(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xa5" * 3996
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 * 3])


@pytest.mark.parametrize("damage", [_garbage_in_the_middle, _garbage_in_the_schema, _cut])
async def test_damaged_database(database: Path, damage: Callable[[Path], None]) -> None:
    """A damaged file is found at the start, not in the middle of the night."""
    await _fill(database)
    damage(database)

    assert "damaged" in await refusal(database)


async def test_read_only_database(database: Path) -> None:
    """A database that only lets itself be read is refused."""
    await _fill(database)
    # What a read-only file does to who is not root, in a way that holds for root as well: the header says that
    # only a newer way of writing may write (https://www.sqlite.org/fileformat2.html, file format version numbers).
    content = bytearray(database.read_bytes())
    content[18] = 3
    database.write_bytes(content)

    assert "read-only" in await refusal(database)


async def test_database_held_at_the_start(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that another process does not let go is refused, with that cause."""
    monkeypatch.setattr("outlastd.stores.database.BUSY_TIMEOUT", 0.05)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        assert "another process holds the database" in await refusal(database)


async def test_large_database_is_not_read_whole(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a size the pages are not checked at the start: what is damaged is found when it is read."""
    await _fill(database)
    _garbage_in_the_middle(database)
    monkeypatch.setattr("outlastd.stores.database.MAX_CHECKED", 4096)

    async with opened(database) as store:
        with pytest.raises(StoreUnavailable, match="the database is damaged"):
            await _read(store)


async def test_path_that_looks_like_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that means memory to SQLite is a file like any other, and stays it when the program changes its folder."""
    monkeypatch.chdir(tmp_path)
    async with opened(Path(":memory:")) as store:
        monkeypatch.chdir("/")
        await start_tasks(store, "worker", [1])

    assert (tmp_path / ":memory:").is_file()


async def test_no_thread_is_left_behind(database: Path) -> None:
    """A start that was refused may be tried again on a cured file."""
    database.write_bytes(b"# notes\n" * 1000)
    await refusal(database)
    database.unlink()

    async with opened(database) as store:
        assert (await register(store, "worker")).epoch == 1


async def test_removed_database(database: Path) -> None:
    """A file that is deleted while in use takes nothing more: writing on would acknowledge what nobody can read."""
    async with opened(database) as store:
        await start_tasks(store, "worker", [1])
        database.unlink()

        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await store.apply("worker", operations(2, START, first=2))


async def test_database_held_by_another_process(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that another process keeps out is an error that says so; it works once that process lets go."""
    monkeypatch.setattr("outlastd.stores.database.BUSY_TIMEOUT", 0.05)
    async with opened(database) as store:
        await start_tasks(store, "worker", [1])
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            outcomes = await asyncio.gather(
                *(register(store, str(number)) for number in range(3)), return_exceptions=True
            )
            assert (await store.get(1)).task_id == 1
        assert [str(outcome) for outcome in outcomes if isinstance(outcome, StoreUnavailable)] == [
            "another process holds the database (SQLITE_BUSY: database is locked)"
        ] * 3

        assert (await register(store, "late")).epoch == 2


async def test_nothing_is_null(database: Path) -> None:
    """What a task and its events have none of is NULL in the file, however it was bound."""
    async with opened(database) as store:
        await start_tasks(store, "worker", [1])
        await store.apply("worker", operations(2, START, DONE, first=2))

    with closing(sqlite3.connect(database)) as connection:
        tasks = connection.execute(
            "SELECT typeof(labels), typeof(timeout), typeof(metadata), typeof(progress_message), typeof(error_code),"
            " typeof(cancel_until), typeof(result) FROM tasks ORDER BY task_id"
        ).fetchall()
        events = connection.execute(
            "SELECT typeof(progress_at), typeof(progress_fraction), typeof(error_type), typeof(output) FROM events"
        ).fetchall()
    assert tasks == [("null",) * 7, (*("null",) * 6, "blob")]
    assert events == [("null",) * 4] * 3
