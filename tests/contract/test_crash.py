"""Acknowledged means durable: what a killed process had been answered is on record."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from outlast.core.state import TaskState
from outlastd.stores.sqlite import SQLiteTaskStore

#: Starts and ends tasks without end, four batches at a time, and says which are answered.
WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from outlast.core.operation import Finish, Operation, Start
from outlast.core.state import TaskState
from outlastd.stores.sqlite import SQLiteTaskStore

async def work(store, number):
    worker_id = f"worker-{number}"
    await store.register_worker(worker_id, "agent")
    task_id, sequence, now = number * 1_000_000, 0, datetime.now(UTC)
    while True:
        task_id, sequence = task_id + 1, sequence + 2
        await store.apply(worker_id, [
            Operation(sequence - 1, task_id, now, Start("research")),
            Operation(sequence, task_id, now, Finish(TaskState.COMPLETED, result=b"%d" % task_id)),
        ])
        print(task_id, flush=True)

async def main():
    store = await SQLiteTaskStore.open(Path(sys.argv[1]))
    await asyncio.gather(*(work(store, number) for number in range(1, 5)))

asyncio.run(main())
"""


@pytest.mark.parametrize("answers", [1, 40, 200])
async def test_killed_writer(database: Path, answers: int) -> None:
    """After SIGKILL at any moment every acknowledged task is there with its result, and the file opens cleanly."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(database), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = [int(await process.stdout.readline()) for _ in range(answers)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [
        int(line) for line in (await process.stdout.read()).splitlines(keepends=True) if line[-1:] == b"\n"
    ]
    assert await process.wait() == -signal.SIGKILL

    store = await SQLiteTaskStore.open(database)
    try:
        for task_id in acknowledged:
            task = await store.get(task_id)
            assert (task.state, task.result) == (TaskState.COMPLETED, b"%d" % task_id)
            assert [event.generation for event in await store.events(task_id, 0, 10)] == [1, 2]
            worker = await store.register_worker(task.worker_id, "agent")
            assert worker.applied_sequence >= 2 * (task_id % 1_000_000)
    finally:
        await store.close()
