"""Acknowledged means durable: what a killed process had been answered is on record."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from outlast.core.policy import DEFAULT_POLICY
from outlast.core.state import TaskState
from outlastd.stores.opening import open_store

from .making import register

#: Starts and ends tasks without end, four batches at a time, and says which are answered.
WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from outlast.core.operation import Finish, Operation, Start
from outlast.core.state import TaskState
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.worker import Registration
from outlastd.stores.opening import open_store

async def work(store, number):
    worker_id = f"worker-{number}"
    await store.register_worker(Registration(worker_id, "agent"))
    task_id, sequence, now = number * 1_000_000, 0, datetime.now(UTC)
    while True:
        task_id, sequence = task_id + 1, sequence + 2
        await store.apply(worker_id, [
            Operation(sequence - 1, task_id, now, Start("research")),
            Operation(sequence, task_id, now, Finish(TaskState.COMPLETED, result=b"%d" % task_id)),
        ])
        print(task_id, flush=True)

async def main():
    url, path = sys.argv[1:]
    store = await open_store(url, Path(path) if path else None, DEFAULT_POLICY)
    await asyncio.gather(*(work(store, number) for number in range(1, 5)))

asyncio.run(main())
"""


@pytest.mark.parametrize("answers", [1, 40, 200])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_killed_writer(request: pytest.FixtureRequest, database: Path, kind: str, answers: int) -> None:
    """After SIGKILL at any moment every acknowledged task is there with its result, and the database opens cleanly."""
    path = database if kind == "sqlite" else None
    url = "" if path else str(request.getfixturevalue("postgres_url"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, str(path or ""), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = [int(await process.stdout.readline()) for _ in range(answers)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [
        int(line) for line in (await process.stdout.read()).splitlines(keepends=True) if line[-1:] == b"\n"
    ]
    assert await process.wait() == -signal.SIGKILL

    store = await open_store(url, path, DEFAULT_POLICY)
    try:
        for task_id in acknowledged:
            task = await store.get(task_id)
            assert (task.state, task.result) == (TaskState.COMPLETED, b"%d" % task_id)
            assert [event.generation for event in await store.events(task_id, 0, 10)] == [1, 2]
            worker = await register(store, task.worker_id)
            assert worker.applied_sequence >= 2 * (task_id % 1_000_000)
    finally:
        await store.close()
