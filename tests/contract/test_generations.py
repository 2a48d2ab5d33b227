"""Every change is one event with the next generation."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.core import lifecycle
from outlast.core.errors import OutlastError
from outlast.core.event import Change, EventKind
from outlast.core.operation import Action, Operation
from outlast.core.task import Task
from outlastd.stores.port import Applied, TaskStore
from outlastd.stores.sqlite import SQLiteTaskStore

from .clock import FakeClock
from .making import AT, CHUNK, DONE, FAILED, HALF, START, operations, register, submission


async def test_no_gap(store: TaskStore) -> None:
    """Generations count 1, 2, 3 and so on, across batches and whoever makes the change."""
    await register(store, "worker")
    await store.apply("worker", operations(7, START, HALF))
    await store.request_cancel(7)
    await store.apply("worker", operations(7, CHUNK, HALF, DONE, first=3))

    events = await store.events(7, 0, 100)

    assert [event.generation for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.kind for event in events] == [
        EventKind.STATE_CHANGED,
        EventKind.PROGRESSED,
        EventKind.CANCEL_REQUESTED,
        EventKind.OUTPUT,
        EventKind.PROGRESSED,
        EventKind.STATE_CHANGED,
    ]
    assert (await store.get(7)).generation == 6


async def test_each_task_counts_for_itself(store: TaskStore) -> None:
    """Operations on several tasks, mixed in one batch, give each task its own count."""
    await register(store, "worker")
    actions: list[tuple[int, Action]] = [(1, START), (2, START), (1, HALF), (2, DONE), (1, CHUNK), (1, DONE)]
    batch = [Operation(sequence, task_id, AT, action) for sequence, (task_id, action) in enumerate(actions, 1)]

    await store.apply("worker", batch)

    assert [event.generation for event in await store.events(1, 0, 100)] == [1, 2, 3, 4]
    assert [event.generation for event in await store.events(2, 0, 100)] == [1, 2]


async def test_submitted_task_goes_on_counting(store: TaskStore) -> None:
    """The claim of a submitted task is its second event."""
    await store.create(submission(9))
    worker = await register(store, "worker", "agent", "research")

    await store.claim("worker", worker.epoch, 1)
    await store.apply("worker", operations(9, DONE))

    assert [event.generation for event in await store.events(9, 0, 100)] == [1, 2, 3]


_actions: st.SearchStrategy[Action] = st.sampled_from([START, HALF, CHUNK, DONE, FAILED])


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(1, 3), _actions), max_size=12), cut=st.integers(0, 12))
def test_batches_do_not_show(steps: list[tuple[int, Action]], cut: int) -> None:
    """However operations are cut into batches, they make what the lifecycle makes of them one by one."""
    batch = [Operation(sequence, task_id, AT, action) for sequence, (task_id, action) in enumerate(steps, 1)]

    async def run() -> None:
        clock = FakeClock()
        with tempfile.TemporaryDirectory() as folder:
            store = await SQLiteTaskStore.open(Path(folder) / "outlast.db", now=clock)
            try:
                worker = await register(store, "worker")
                tasks: dict[int, Task] = {}
                changes: list[Change] = []
                refused: dict[int, str] = {}
                for operation in batch:
                    try:
                        change = lifecycle.apply_operation(
                            tasks.get(operation.task_id), operation, worker, clock(), store.policy
                        )
                    except OutlastError as refusal:
                        refused[operation.sequence] = str(refusal)
                    else:
                        tasks[operation.task_id] = change.task
                        changes.append(change)

                parts: list[Applied] = [
                    await store.apply("worker", batch[:cut]),
                    await store.apply("worker", batch[cut:]),
                ]

                assert changes == [change for part in parts for change in part.changes]
                assert refused == {key: str(error) for part in parts for key, error in part.refusals.items()}
                for task_id, task in tasks.items():
                    assert task == await store.get(task_id)
                    events = [change.event for change in changes if change.task.task_id == task_id]
                    assert events == await store.events(task_id, 0, 100)
            finally:
                await store.close()

    asyncio.run(run())
