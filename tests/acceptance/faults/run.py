"""One run: a cluster, its clients, faults in a row, and what is found in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from outlast.core.event import TaskEvent
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlast.wire.tasks import event_from_proto, state_to_proto, task_from_proto

from .callers import SESSIONS, Callers, keep_calling, keep_creating
from .checker import Evidence, check
from .clients import TIMEOUT, Clients
from .cluster import Cluster
from .faults import Fault
from .history import History
from .injector import Injector
from .watchers import Watchers

#: Seconds within which every task has come to its end once the last fault is over.
SETTLING = 45.0
#: Everything that is not terminal.
_OPEN = [state_to_proto(state) for state in TaskState if not state.terminal]


async def strike(cluster: Cluster, history: History, faults: Sequence[Fault], seed: int) -> Evidence:
    """Have faults happen while clients work; return the evidence once everything has settled."""
    async with Clients(cluster, history, seed) as clients:
        watchers = Watchers(clients)
        callers = Callers(clients, watchers)
        for session in SESSIONS:
            watchers.watch_session(session, clients.choice(f"watch {session}"))
        work = [
            asyncio.create_task(keep_calling(callers, agent, clients.choice(f"caller {agent}")))
            for agent in range(len(cluster.agents))
        ]
        work.append(asyncio.create_task(keep_creating(callers, clients.choice("creator"))))
        injector = Injector(cluster, callers, history, clients.choice("injector"))
        try:
            for fault in faults:
                await injector.inject(fault)
        finally:
            for task in work:
                task.cancel()
            ends = await asyncio.gather(*work, return_exceptions=True)
        failed = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
        assert not failed, failed
        await callers.settle()
        await _settled(clients)
        await watchers.settle(SETTLING)
        return await _evidence(clients, history)


def report(evidence: Evidence, cluster: Cluster) -> list[str]:
    """Return a line for everything that is wrong, with the history of the tasks that it is about."""
    violations = check(evidence)
    lines = [str(violation) for violation in violations]
    for task_id in list(dict.fromkeys(violation.task_id for violation in violations))[:5]:
        lines += ["", *_told(evidence, task_id)]
    lines += [f"{what}: {record}" for what in ("hung", "down") for record in evidence.records(what)]
    for member in cluster.members:
        for process in member.processes:
            if wrote := process.blemishes():
                lines += [f"{member.name} (process {process.pid}) wrote:", *wrote]
    return lines


def _told(evidence: Evidence, task_id: int) -> list[str]:
    """Return all that is known about a task: who said what, the faults meanwhile, the events on record."""
    about = evidence.about.get(task_id, [])
    began, ended = (about[0]["at"] - 3, about[-1]["at"] + 1) if about else (0, 0)
    told = ("fault", "strike", "healed", "started", "stopped")
    history = [
        record
        for record in evidence.history
        if record in about or (record["what"] in told and began <= record["at"] <= ended)
    ]
    lines = [f"task {task_id}: {evidence.tasks.get(task_id)}"]
    return lines + [str(record) for record in history] + [str(event) for event in evidence.events.get(task_id, ())]


async def _settled(clients: Clients) -> None:
    request = pb.ListTasksRequest(states=_OPEN, page_size=1)
    with suppress(TimeoutError):  # the checker says which tasks never ended
        async with asyncio.timeout(SETTLING):
            left = True
            while left:
                page = await clients.insist(lambda service: service.ListTasks(request, timeout=TIMEOUT))
                left = bool(page.tasks)
                await asyncio.sleep(0.2)


async def _evidence(clients: Clients, history: History) -> Evidence:
    tasks = await _tasks(clients)
    # What is not terminal has no last event to wait for: it is read as far as it goes.
    events = {}
    gate = asyncio.Semaphore(16)

    async def read(task: Task) -> None:
        async with gate:
            events[task.task_id] = await _events(clients, task)

    await asyncio.gather(*(read(task) for task in tasks))
    return Evidence(history.read(), {task.task_id: task for task in tasks}, events)


async def _tasks(clients: Clients) -> list[Task]:
    tasks: list[Task] = []
    token = ""
    while True:
        request = pb.ListTasksRequest(page_size=500, page_token=token, view=task_pb2.TASK_VIEW_FULL)
        page = await clients.insist(lambda service, request=request: service.ListTasks(request, timeout=TIMEOUT))  # type: ignore[misc]
        tasks += [task_from_proto(task) for task in page.tasks]
        if not (token := page.next_page_token):
            return tasks


async def _events(clients: Clients, task: Task) -> list[TaskEvent]:
    request = pb.WatchTaskRequest(name=task.name)

    async def read(service: TaskServiceStub) -> list[TaskEvent]:
        events: list[TaskEvent] = []
        async for answer in service.WatchTask(request, timeout=TIMEOUT):
            events.append(event_from_proto(answer.event))
            if len(events) == task.generation and not task.state.terminal:
                break
        return events

    return await clients.insist(read)
