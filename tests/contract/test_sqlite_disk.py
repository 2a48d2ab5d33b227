"""A disk that takes no more: an error with the cause, nothing half written, and on again once there is room."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from outlast.core.errors import StoreUnavailable, TaskNotFound
from outlast.core.operation import Start
from outlastd.stores.port import TaskFilter
from outlastd.stores.sqlite import SQLiteTaskStore

from .making import DONE, START, operations, start_tasks

#: A process of its own, since the limit on the size of files holds for a whole process.
LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from outlast.core.errors import StoreUnavailable
from outlast.core.worker import Registration
from outlastd.stores.sqlite import SQLiteTaskStore

async def register(store, names):
    outcomes = await asyncio.gather(
        *(store.register_worker(Registration(name, "agent", lock_path="x" * 100_000)) for name in names),
        return_exceptions=True,
    )
    return [outcome if isinstance(outcome, StoreUnavailable) else outcome.epoch for outcome in outcomes]

async def main():
    store = await SQLiteTaskStore.open(Path(sys.argv[1]))
    print(await register(store, ["before"]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    print(await register(store, [f"full-{number}" for number in range(20)]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    print(await register(store, ["after"]))
    await store.close()

asyncio.run(main())
"""


async def test_file_size_limit(database: Path) -> None:
    """At the limit on file sizes a group of writes fails whole; what comes after the limit is lifted succeeds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIMITED, str(database), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    before, full, after = output.decode().splitlines()

    assert process.returncode == 0
    assert before == "[1]"
    assert full.count("a limit on file sizes is reached") == 20
    assert after == "[2]"


async def test_full_disk(database: Path) -> None:
    """A database that may not grow says that the disk is full, keeps what it has, and goes on when there is room."""
    store = await SQLiteTaskStore.open(database)
    try:
        await start_tasks(store, "worker", [1])
        large = operations(2, Start("research", input=b"x" * 1_000_000), DONE, first=2)
        (room,) = await store._writer.do(lambda db: db.execute("PRAGMA page_count").fetchone())
        await store._writer.do(lambda db: db.execute(f"PRAGMA max_page_count = {room + 5}").fetchone())

        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await store.apply("worker", large)

        with pytest.raises(TaskNotFound):
            await store.get(2)
        assert [task.task_id for task in await store.list(TaskFilter(), 10)] == [1]
        await store._writer.do(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
        assert len((await store.apply("worker", large)).changes) == 2
        assert len((await store.apply("worker", operations(3, START, first=4))).changes) == 1
    finally:
        await store.close()
