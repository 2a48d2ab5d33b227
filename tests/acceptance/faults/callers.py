"""Who starts tasks: callers over HTTP, programs that submit over gRPC; and who cancels some."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from datetime import timedelta

import aiohttp
import grpc.aio
from google.protobuf.duration_pb2 import Duration

from outlast.headers import SESSION_ID, TASK_IDS
from outlast.v1 import task_service_pb2 as pb

from .clients import PASSING, PAUSE, TIMEOUT, Clients
from .plan import AGAIN, ATTEMPTS, ONCE, Plan, arguments, plan
from .watchers import Watchers

#: The conversations that all work belongs to.
SESSIONS = ("the first session of the fault matrix", "the second session of the fault matrix")
#: The share of the tasks that somebody cancels.
CANCELED = 0.1


class Callers:
    """Starts work at agents and managers; watches, asks about and cancels some of it."""

    def __init__(self, clients: Clients, watchers: Watchers) -> None:
        self._clients = clients
        self._history = clients.history
        self._watchers = watchers
        self._cancels: set[asyncio.Task[None]] = set()

    async def invoke(self, agent: int, choice: random.Random, plans: list[Plan]) -> bool:
        """Invoke an agent once; whether it answered well."""
        call = self._clients.call(f"invoke agent {agent}")
        session = choice.choice(SESSIONS)
        self._history.write("asked", call=call, plans=plans)
        try:
            async with self._clients.http.post(
                f"{self._clients.front_doors[agent]}/invocations", json={"start": plans}, headers={SESSION_ID: session}
            ) as response:
                body = await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._history.write("failed", call=call, error=repr(error))
            return False
        if response.status != 200:
            self._history.write("failed", call=call, error=f"{response.status} {body}")
            return False
        named = [int(part) for part in response.headers.get(TASK_IDS, "").split(",") if part.strip()]
        tasks = sorted({*named, *(int(task_id) for task_id in body["taskIds"])})
        self._history.write("answered", call=call, tasks=tasks, agent=agent)
        for task_id in tasks:
            self._follow(task_id, agent, choice)
        return True

    async def create(self, choice: random.Random) -> None:
        """Submit a task with an idempotency key, again and again until it is answered, and once more after that."""
        key = f"key {choice.getrandbits(64):x}"
        task = plan(choice) | {"kind": choice.choice((*ONCE, *AGAIN))}
        request = pb.CreateTaskRequest(
            agent="matrix",
            task_type=task["kind"],
            input=json.dumps(arguments(task)),
            session_id=choice.choice(SESSIONS),
            idempotency_key=key,
            max_attempts=ATTEMPTS if task["kind"] in AGAIN else 1,
            backoff=_duration(0.1),
        )
        first = choice.randrange(len(self._clients.services))
        # The second answer comes from another replica, where there is one; both at once is a race that a key must win.
        if choice.random() < 0.3:
            task_id, _ = await asyncio.gather(*(self._create(request, first + number) for number in range(2)))
        else:
            task_id = await self._create(request, first)
            await self._create(request, first + 1)
        self._follow(task_id, None, choice)

    async def settle(self) -> None:
        """Wait until every request to cancel is answered."""
        await asyncio.gather(*self._cancels)

    async def _create(self, request: pb.CreateTaskRequest, number: int) -> int:
        call = self._clients.call("create")
        while True:
            service = self._clients.services[number % len(self._clients.services)]
            self._history.write("asked", call=call, key=request.idempotency_key)
            try:
                answer = await service.CreateTask(request, timeout=TIMEOUT)
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    raise
                self._history.write("failed", call=call, error=f"{error.code().name} {error.details()}")
                number += 1
                await asyncio.sleep(PAUSE)
                continue
            self._history.write("answered", call=call, tasks=[answer.task_id], key=request.idempotency_key)
            return answer.task_id

    def _follow(self, task_id: int, agent: int | None, choice: random.Random) -> None:
        self._watchers.follow(task_id, agent, choice)
        if choice.random() < CANCELED:
            cancel = asyncio.create_task(self._cancel(task_id, choice.uniform(0, 0.5), force=choice.random() < 0.5))
            self._cancels.add(cancel)
            cancel.add_done_callback(self._cancels.discard)

    async def _cancel(self, task_id: int, after: float, *, force: bool) -> None:
        await asyncio.sleep(after)
        self._history.write("cancels", task=task_id, force=force)
        request = pb.CancelTaskRequest(name=f"tasks/{task_id}", force=force, grace=_duration(0.3))
        try:
            await self._clients.insist(lambda service: service.CancelTask(request, timeout=TIMEOUT))
        except grpc.aio.AioRpcError as error:
            self._history.write("not canceled", task=task_id, error=f"{error.code().name} {error.details()}")
        else:
            self._history.write("canceled", task=task_id)


async def keep_calling(callers: Callers, agent: int, choice: random.Random) -> None:
    """Invoke an agent for as long as it lasts."""
    while True:
        await callers.invoke(agent, choice, [plan(choice) for _ in range(choice.randint(1, 3))])
        await asyncio.sleep(choice.uniform(0.05, 0.25))


async def keep_creating(callers: Callers, choice: random.Random) -> None:
    """Submit tasks for as long as it lasts."""
    while True:
        with suppress(TimeoutError):
            await callers.create(choice)
        await asyncio.sleep(choice.uniform(0.1, 0.4))


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds))
    return duration
