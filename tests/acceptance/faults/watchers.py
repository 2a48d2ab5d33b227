"""Who looks at tasks: watchers over gRPC and server-sent events, that come back after a break."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress

import aiohttp
import grpc.aio

from outlast.core.state import TaskState
from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb

from .clients import PASSING, PAUSE, TIMEOUT, Clients

#: Watchers at a time; the share of the tasks that are watched, asked about.
MAX_WATCHERS = 24
WATCHED = 0.5
ASKED = 0.1


class Watchers:
    """Everybody who looks at tasks, and writes down what they see."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._history = clients.history
        self._running: set[asyncio.Task[None]] = set()
        self._sessions: list[asyncio.Task[None]] = []
        self._names = 0

    def follow(self, task_id: int, agent: int | None, choice: random.Random) -> None:
        """Have somebody watch a task, or not; ``agent`` is at whose front door it was started."""
        chance = choice.random()
        if chance < WATCHED and len(self._running) < MAX_WATCHERS:
            self._names += 1
            over_http = choice.random() < 0.5
            name = f"{'sse' if over_http else 'grpc'} watcher {self._names}"
            door = agent if agent is not None else choice.randrange(len(self._clients.front_doors))
            watch = self._watch_sse(name, task_id, door) if over_http else self._watch_grpc(name, task_id, choice)
            self._keep(watch)
        elif chance > 1 - ASKED:
            self._keep(self._ask(task_id, choice))

    def watch_session(self, session: str, choice: random.Random) -> None:
        """Have somebody watch a session from its beginning until ``settle``."""
        self._names += 1
        watch = self._watch_session(f"session watcher {self._names}", session, choice)
        self._sessions.append(asyncio.create_task(watch))

    async def settle(self, seconds: float) -> None:
        """Wait until every watcher of a task has seen its end; those of sessions get a moment more, and stop."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            for watch in late:
                watch.cancel()
        await asyncio.sleep(1.5)  # longer than a watch may be behind
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._running, *self._sessions, return_exceptions=True)

    def _keep(self, watch: object) -> None:
        running: asyncio.Task[None] = asyncio.create_task(watch)  # type: ignore[arg-type]
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _watch_grpc(self, name: str, task_id: int, choice: random.Random) -> None:
        """Watch at one replica after the other, and leave now and then."""
        seen, ended, number = 0, False, choice.randrange(2)
        while not ended:
            request = pb.WatchTaskRequest(name=f"tasks/{task_id}", after_generation=seen)
            service = self._clients.services[number % len(self._clients.services)]
            try:
                async for answer in service.WatchTask(request, timeout=choice.uniform(0.2, TIMEOUT)):
                    self._saw(name, answer.event)
                    seen = answer.event.generation
                ended = True
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    self._history.write("broken watch", watcher=name, task=task_id, error=str(error.code()))
                    return
            number += 1
            if not ended:
                await asyncio.sleep(PAUSE)
        self._history.write("watched", watcher=name, task=task_id)

    async def _watch_sse(self, name: str, task_id: int, door: int) -> None:
        """Watch at a front door, any that answers, as an EventSource does."""
        last = ""
        while True:
            address = f"{self._clients.front_doors[door]}/tasks/{task_id}/events"
            door = (door + 1) % len(self._clients.front_doors)
            headers = {"Last-Event-ID": last} if last else {}
            try:
                async with self._clients.http.get(address, headers=headers) as response:
                    if response.status == 204:
                        break
                    if response.status == 404:
                        self._history.write("broken watch", watcher=name, task=task_id, error="404")
                        return
                    async for line in response.content:
                        if line.startswith(b"data: ") and response.status == 200:
                            event = _event(json.loads(line.removeprefix(b"data: ")))
                            self._saw(name, event)
                            last = str(event.generation)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                pass
            await asyncio.sleep(PAUSE)
        self._history.write("watched", watcher=name, task=task_id)

    async def _watch_session(self, name: str, session: str, choice: random.Random) -> None:
        """Watch at one replica after the other, from the cursor where it left."""
        cursor, number = "", choice.randrange(2)
        try:
            while True:
                request = pb.WatchSessionRequest(session_id=session, cursor=cursor)
                service = self._clients.services[number % len(self._clients.services)]
                number += 1
                try:
                    async for answer in service.WatchSession(request, timeout=choice.uniform(0.5, 3.0)):
                        self._saw(name, answer.event)
                        cursor = answer.cursor
                except grpc.aio.AioRpcError as error:
                    if error.code() not in PASSING:
                        raise
                await asyncio.sleep(0.01)
        finally:
            self._history.write("watched session", watcher=name, session=session)

    async def _ask(self, task_id: int, choice: random.Random) -> None:
        """Ask for a task until it is terminal, and once more after that."""
        request = pb.GetTaskRequest(name=f"tasks/{task_id}")
        left = 2
        while left:
            service = choice.choice(self._clients.services)
            with suppress(grpc.aio.AioRpcError):
                task = await service.GetTask(request, timeout=TIMEOUT)
                left -= TaskState(task.state).terminal
                self._history.write(
                    "told", task=task_id, state=task.state, reason=task.state_reason, generation=task.generation
                )
            await asyncio.sleep(choice.uniform(0.1, 1.0))

    def _saw(self, name: str, event: task_pb2.TaskEvent) -> None:
        self._history.write(
            "saw",
            watcher=name,
            task=int(event.task.removeprefix("tasks/")),
            generation=event.generation,
            kind=event.kind,
            state=event.state,
            reason=event.state_reason,
            attempt=event.attempt,
        )


def _event(shown: dict[str, object]) -> task_pb2.TaskEvent:
    """Return the event that HTTP shows, as far as it is written down."""
    return task_pb2.TaskEvent(
        task=str(shown["task"]),
        generation=int(str(shown["generation"])),
        kind=task_pb2.TaskEvent.Kind.Value(str(shown["kind"])),
        state=task_pb2.Task.State.Value(str(shown["state"])),
        state_reason=str(shown.get("stateReason", "")),
        attempt=int(str(shown.get("attempt", 0))),
    )
