"""Promise 1 and ``/tasks`` with the real worker stream and the real task manager on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outlast.core.operation import Finish, Start
from outlast.core.state import TaskState
from outlast.tasks.channel import Replicas
from outlast.tasks.stream import WorkerIdentity, WorkerStream
from outlastd.front_door.server import FrontDoor, FrontDoorOptions, Runtime
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.server import ServerSettings, TaskManagerServer

from .conftest import Agent, Client

SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@pytest.fixture
async def client(agent: Agent, tmp_path: Path) -> AsyncIterator[Client]:
    """A front door whose tasks are kept."""
    store = await SQLiteTaskStore.open(tmp_path / "outlast.db")
    manager = TaskManagerServer(store, ServerSettings(listen="127.0.0.1:0"))
    address = (await manager.start()).public
    replicas = Replicas([address])
    stream = WorkerStream(agent.ledger, replicas, WorkerIdentity("worker-1", "agent"), run=lambda _: None)
    stream.start()
    await stream.ready(10)
    runtime = Runtime(agent.ledger, agent.loop, agent.pool)
    door = FrontDoor(agent, agent.ping, runtime, stream, replicas, FrontDoorOptions())
    await door.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        yield Client(session, door)
    await door.stop(1.0)
    await stream.close(1.0)
    await replicas.close()
    await manager.stop(0)
    await store.close()


async def test_a_task_is_on_record_when_its_invocation_is_answered(agent: Agent, client: Client) -> None:
    """What the header names can be looked up at once, watched, waited for, and not canceled once it is over."""

    async def handler(payload: Any) -> str:
        return agent.ledger.start(Start("work", session_id="s-1")).name

    agent.entrypoint_handler = handler
    mine = {SESSION: "s-1"}

    answer = await client.ask("POST", "/invocations", data=b"{}", headers=mine)
    name = f"/{answer.json}"
    started = await client.ask("GET", name, headers=mine)
    task_id = int(answer.headers["X-Outlast-Task-Ids"])
    agent.ledger.finish(task_id, Finish(TaskState.COMPLETED, result=b'{"sum": 42}'))
    ended = await client.ask("GET", f"{name}/wait?timeout=10", headers=mine)
    events = await client.ask("GET", f"{name}/events?after=1", headers=mine)
    canceled = await client.ask("POST", f"{name}/cancel", headers=mine)
    listed = await client.ask("GET", "/tasks?state=COMPLETED", headers=mine)
    others = await client.ask("GET", "/tasks", headers={SESSION: "s-2"})

    assert (started.json["state"], started.json["taskId"]) == ("WORKING", str(task_id))
    assert (ended.json["state"], ended.json["result"]) == ("COMPLETED", {"sum": 42})
    assert events.body.startswith(b"id: 2\n")
    assert b'"state": "COMPLETED"' in events.body
    assert (canceled.status, canceled.json["code"]) == (409, "FAILED_PRECONDITION")
    assert [task["taskId"] for task in listed.json["tasks"]] == [str(task_id)]
    assert others.json == {"tasks": []}
