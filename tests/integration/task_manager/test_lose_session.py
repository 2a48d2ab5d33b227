"""A session whose processes are gone: what they held is settled at once, without waiting for a lease."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from outlast.core.errors import StoreUnavailable
from outlast.core.operation import Start
from outlast.core.policy import Policy
from outlast.core.session import SessionKey
from outlast.core.state import TaskState
from outlast.core.task import TraceContext
from outlast.core.worker import Registration
from outlast.v1 import task_pb2
from outlast.v1.task_service_pb2 import WatchTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.session_host.host_tasks import HostTasks
from outlastd.stores.port import TaskStore
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager import session_tokens
from outlastd.task_manager.server import Bound, ServerSettings, TaskManagerServer

from .speaking import DONE, Seen, operation

KEY = SessionKey("agent", "gone")
TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


def start(session_id: str, **more: Any) -> Start:
    """Return the start of a task of a session, in a trace that is sampled."""
    return Start("research", session_id=session_id, trace_context=TRACE, **more)


@asynccontextmanager
async def serving(store: TaskStore, seen: Seen) -> AsyncIterator[tuple[TaskManagerServer, Bound]]:
    """Give a task manager on a store."""
    server = TaskManagerServer(store, ServerSettings(listen="127.0.0.1:0"), seen)
    bound = await server.start()
    try:
        yield server, bound
    finally:
        await server.stop(0)


async def test_the_tasks_of_a_session_are_lost_with_its_processes(tmp_path: Path, seen: Seen) -> None:
    """They end or run again as their policy says, are shown, told to watchers and due for export; others go on."""
    store = await SQLiteTaskStore.open(tmp_path / "outlast.db", Policy(spans=True))
    for worker_id, agent, session_id in (
        ("gone", "agent", "gone"),
        ("gone-2", "agent", "gone"),
        ("other", "agent", "other"),
        ("namesake", "agent-2", "gone"),
        ("any", "agent", ""),
    ):
        await store.register_worker(Registration(worker_id, agent, session_id=session_id))
    await store.apply("gone", [operation(1, 1, start("gone")), operation(2, 2, start("gone"))])
    await store.apply("gone", [operation(3, 2, DONE)])
    await store.apply("gone-2", [operation(1, 3, start("gone", max_attempts=2, input=b"{}"))])
    await store.apply("other", [operation(1, 4, start("other"))])
    await store.apply("namesake", [operation(1, 5, start("gone"))])
    await store.apply("any", [operation(1, 6, start("gone"))])
    exported = {ended.task.task_id for ended in await store.claim_spans(10, 60.0)}
    assert exported == {2}

    async with serving(store, seen) as (server, bound), grpc.aio.insecure_channel(bound.public) as channel:
        watch: Any = TaskServiceStub(channel).WatchTask(WatchTaskRequest(name="tasks/1"))
        assert (await watch.read()).event.state == task_pb2.Task.WORKING
        assert await server.lose_session(KEY, "the process ended with signal 9") == 2
        last = (await watch.read()).event
        assert (last.state, last.state_reason) == (task_pb2.Task.FAILED, "WORKER_LOST")
        assert await watch.read() is grpc.aio.EOF
        assert await server.lose_session(KEY, "again") == 0

    lost = await store.get(1)
    assert (lost.state, lost.state_reason) == (TaskState.FAILED, "WORKER_LOST")
    assert lost.error is not None
    assert lost.error.message == "the process ended with signal 9"
    assert (await store.get(3)).state is TaskState.SUBMITTED
    assert seen.lines == [("WORKER_LOST", 1), ("again after WORKER_LOST", 3)]
    assert {(await store.get(task_id)).state for task_id in (4, 5, 6)} == {TaskState.WORKING}
    assert [worker.worker_id for worker in await store.living_workers()] == ["other", "namesake", "any"]
    assert [ended.task.task_id for ended in await store.claim_spans(10, 60.0)] == [1]
    await store.close()


async def test_a_session_is_lost_once_the_store_is_back(store: TaskStore, seen: Seen) -> None:
    """With a store that is away the host is told, and asks again."""
    await store.register_worker(Registration("gone", "agent", session_id="gone"))
    await store.apply("gone", [operation(1, 1, start("gone"))])

    async def away() -> Any:
        raise StoreUnavailable("gone")

    async with serving(store, seen) as (server, _):
        tasks = HostTasks(server, "workers")
        assert session_tokens.read("workers", tasks.worker_token(KEY)) == KEY
        living, store.living_workers = store.living_workers, away  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            await tasks.lose(KEY, "ended")
        store.living_workers = living  # type: ignore[method-assign]
        assert await tasks.lose(KEY, "ended") == 1
