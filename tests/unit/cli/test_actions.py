"""``outlast tasks cancel``, ``retry`` and ``delete``, and asking one replica of several."""

from __future__ import annotations

import json

from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb

from .command import outlast
from .scripted import Scripted, a_life, a_task

Task = task_pb2.Task


async def test_cancel_passes_on_how(manager: Scripted) -> None:
    """Force and grace reach the task manager; the line says where the task stands."""
    manager.tasks = [a_task(7, state=Task.WORKING), a_task(8, state=Task.CANCELED)]
    address = ("--task-manager", manager.address)
    asked_to_stop = await outlast("tasks", "cancel", "7", *address)
    forced = await outlast("tasks", "cancel", "8", "--force", "--grace", "1.5s", *address)
    as_json = await outlast("tasks", "cancel", "7", "--json", *address)

    assert (asked_to_stop.code, asked_to_stop.out) == (0, "tasks/7 was asked to stop; it is WORKING\n")
    assert (forced.code, forced.out) == (0, "tasks/8 is CANCELED\n")
    assert json.loads(as_json.out)["taskId"] == "7"
    requests = [request for request in manager.asked if isinstance(request, pb.CancelTaskRequest)]
    assert [(request.force, request.grace.ToMilliseconds()) for request in requests] == [
        (False, 0),
        (True, 1500),
        (False, 0),
    ]


async def test_retry_prints_the_new_id(manager: Scripted) -> None:
    """Nothing else is on standard output, so that a shell can use it."""
    manager.tasks = [a_task(7)]
    done = await outlast("tasks", "retry", "7", "--task-manager", manager.address)

    assert (done.code, done.out) == (0, "8\n")
    assert manager.asked[-1].idempotency_key


async def test_retry_can_watch_the_new_task(manager: Scripted) -> None:
    """It ends as the new task does."""
    manager.tasks, manager.events = [a_task(7)], a_life(8)
    done = await outlast("tasks", "retry", "7", "--watch", "--task-manager", manager.address)

    assert done.code == 0
    assert "COMPLETED after 3.00s" in done.out
    assert manager.asked[-1] == pb.WatchTaskRequest(name="tasks/8")


async def test_delete_takes_what_it_can(manager: Scripted) -> None:
    """Several are deleted; what cannot be is told, and the exit code says so."""
    manager.tasks = [a_task(7), a_task(8, state=Task.WORKING), a_task(9)]
    done = await outlast("tasks", "delete", "7", "8", "tasks/9", "abc", "--task-manager", manager.address)

    assert [task.task_id for task in manager.tasks] == [8]
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "outlast: tasks/8 is WORKING and cannot become deleted",
        "outlast: ID: 'abc' is no task's id: it is a number, as in the first column of the list",
    ]
    assert (await outlast("tasks", "delete", "8", "--task-manager", "127.0.0.1:1")).code == 1


async def test_the_next_replica_is_asked(manager: Scripted) -> None:
    """An address where nobody answers costs nothing but a moment, first or last."""
    manager.tasks = [a_task(7)]
    first = await outlast("tasks", "get", "7", "--json", OUTLAST_TASK_MANAGER=f"127.0.0.1:1,{manager.address}")
    last = await outlast("tasks", "get", "7", "--json", OUTLAST_TASK_MANAGER=f"{manager.address},127.0.0.1:1")

    assert (first.code, last.code) == (0, 0), first.err
    assert json.loads(first.out) == json.loads(last.out)
