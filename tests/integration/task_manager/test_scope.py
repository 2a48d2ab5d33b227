"""A caller and a worker with the token of a session: they reach that session of that agent, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]

from outlast.core.errors import InvalidField, LeaseLost, OutlastError, SessionNotFound, TaskExists, TaskNotFound
from outlast.core.operation import Finish, Report, Start, Submit
from outlast.core.session import SessionKey
from outlast.core.state import TaskState
from outlast.core.task import Progress, Task
from outlast.core.worker import Registration
from outlast.tasks.channel import bearer, open_channel
from outlast.v1 import task_service_pb2 as pb
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlast.wire.errors import from_rpc_error
from outlastd.stores.port import TaskStore
from outlastd.task_manager import session_tokens
from outlastd.task_manager.auth import Access
from outlastd.task_manager.server import Bound

from .conftest import Serve
from .speaking import AT, DONE, START, connected, operation, refused

ACCESS = Access(token="people", worker_token="workers")
MINE, OTHER = SessionKey("agent", "mine"), SessionKey("agent", "other")
#: The id of another agent's session, which the callers chose to be the same.
NAMESAKE = SessionKey("agent-2", "mine")
TOKEN = session_tokens.mint("workers", MINE)


class Caller:
    """TaskService with a token."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._stub = TaskServiceStub(channel)
        self._metadata = bearer(token)

    def __getattr__(self, method: str) -> Callable[[Any], Any]:
        call = getattr(self._stub, method)
        return lambda request: call(request, metadata=self._metadata)

    async def task(self, key: SessionKey) -> str:
        """Submit a task to a session; return its name."""
        made = await self.CreateTask(creation(agent=key.agent, session_id=key.session_id))
        return str(made.name)


def creation(**fields: object) -> pb.CreateTaskRequest:
    """Return a request to submit a task."""
    return pb.CreateTaskRequest(task_type="research", input="{}", **fields)  # type: ignore[arg-type]


async def outcome(call: Awaitable[object]) -> OutlastError | None:
    """Return what a call is refused with; None when it is not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    return None


async def watched(call: grpc.aio.UnaryStreamCall[Any, Any]) -> object:
    """Return a watch's first message; raise its refusal."""
    try:
        return await call.read()
    finally:
        call.cancel()


@pytest.fixture
async def bound(serve: Serve, socket_path: Path) -> Bound:
    """Return where a host's task manager is: for people on TCP, for guests on a socket, with tokens on both."""
    return await serve(socket_path=socket_path, access=ACCESS, socket_access=ACCESS)


@pytest.fixture
async def channel(bound: Bound) -> AsyncIterator[grpc.aio.Channel]:
    """Return the channel that a guest's worker has: to a Unix socket, and tokens over it."""
    channel = open_channel(bound.private)
    yield channel
    await channel.close()


@pytest.fixture
def guest(channel: grpc.aio.Channel) -> Caller:
    """Return a caller with the token of a session."""
    return Caller(channel, TOKEN)


@pytest.fixture
def operator(channel: grpc.aio.Channel) -> Caller:
    """Return a caller with the whole token."""
    return Caller(channel, "people")


# -- listeners ---------------------------------------------------------------------------------------------


async def test_the_guests_socket_wants_a_token_of_everybody(bound: Bound, socket_path: Path) -> None:
    """Any user may open it; without a token, or with one that is none, it opens neither service."""
    assert stat.S_IMODE((await asyncio.to_thread(socket_path.stat)).st_mode) == 0o666
    async with open_channel(bound.private) as channel:
        for token in ("", "workers", "session.x", TOKEN + "x", session_tokens.mint("people", MINE)):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await Caller(channel, token).ListTasks(pb.ListTasksRequest())
            assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
        for token in ("", "people", session_tokens.mint("people", MINE)):
            async with connected(channel, token) as worker:
                with pytest.raises(grpc.aio.AioRpcError):
                    await worker.hello()
                assert await worker.call.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(("token", "opens"), [("people", True), (TOKEN, False)])
async def test_reflection_is_for_the_whole_token(channel: grpc.aio.Channel, token: str, opens: bool) -> None:
    """A session's token opens TaskService and WorkerService, and nothing beside them."""
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(metadata=bearer(token))
    with contextlib.nullcontext() if opens else pytest.raises(grpc.aio.AioRpcError):
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        assert (await call.read()).HasField("list_services_response")
        await call.done_writing()
    assert await call.code() == (grpc.StatusCode.OK if opens else grpc.StatusCode.UNAUTHENTICATED)


async def test_a_sessions_token_is_good_on_tcp_too(bound: Bound, operator: Caller) -> None:
    """It reaches there what it reaches on the socket."""
    mine, other = await operator.task(MINE), await operator.task(OTHER)
    async with open_channel(bound.public) as channel:
        guest = Caller(channel, TOKEN)
        assert (await guest.GetTask(pb.GetTaskRequest(name=mine))).name == mine
        assert isinstance(await outcome(guest.GetTask(pb.GetTaskRequest(name=other))), TaskNotFound)


# -- TaskService -------------------------------------------------------------------------------------------

NAMED: dict[str, Callable[[Caller, str], Awaitable[object]]] = {
    "get": lambda caller, name: caller.GetTask(pb.GetTaskRequest(name=name)),
    "wait": lambda caller, name: caller.WaitTask(pb.WaitTaskRequest(name=name, timeout=Duration())),
    "watch": lambda caller, name: watched(caller.WatchTask(pb.WatchTaskRequest(name=name))),
    "cancel": lambda caller, name: caller.CancelTask(pb.CancelTaskRequest(name=name, force=True)),
    "retry": lambda caller, name: caller.RetryTask(pb.RetryTaskRequest(name=name)),
    "delete": lambda caller, name: caller.DeleteTask(pb.DeleteTaskRequest(name=name)),
}


@pytest.mark.parametrize("key", [OTHER, NAMESAKE, SessionKey("agent", "")], ids=str)
@pytest.mark.parametrize("method", NAMED)
async def test_a_task_of_another_session_does_not_exist(
    guest: Caller, operator: Caller, method: str, key: SessionKey
) -> None:
    """Whatever is asked of it is answered as for an id that nobody has, and nothing happens to it."""
    name = await operator.task(key)
    if method in ("retry", "delete"):
        await operator.CancelTask(pb.CancelTaskRequest(name=name))
    before = await operator.GetTask(pb.GetTaskRequest(name=name))
    refusal = await outcome(NAMED[method](guest, name))
    missing = await outcome(NAMED[method](guest, "tasks/7"))
    assert isinstance(refusal, TaskNotFound)
    assert isinstance(missing, TaskNotFound)
    assert refusal.message == missing.message.replace("tasks/7", name)
    assert await operator.GetTask(pb.GetTaskRequest(name=name)) == before
    assert len((await operator.ListTasks(pb.ListTasksRequest())).tasks) == 1


@pytest.mark.parametrize("method", NAMED)
async def test_a_task_of_the_session_can_be_asked_for_everything(guest: Caller, method: str) -> None:
    """To its own session's caller every method works as ever."""
    name = await guest.task(MINE)
    if method in ("retry", "delete"):
        await guest.CancelTask(pb.CancelTaskRequest(name=name))
    assert await outcome(NAMED[method](guest, name)) is None


async def test_lists_are_of_the_session(guest: Caller, operator: Caller) -> None:
    """Unasked, its own tasks only; of another session or agent none; and no token of a page reaches further."""
    for key in (MINE, OTHER, NAMESAKE, MINE):
        await operator.task(key)
    everything = await operator.ListTasks(pb.ListTasksRequest(page_size=1))
    listed = await guest.ListTasks(pb.ListTasksRequest())
    assert [(task.agent, task.session_id) for task in listed.tasks] == [("agent", "mine")] * 2
    for request in (
        pb.ListTasksRequest(session_id="other"),
        pb.ListTasksRequest(agent="agent-2"),
        pb.ListTasksRequest(agent="agent-2", session_id="mine"),
    ):
        assert await guest.ListTasks(request) == pb.ListTasksResponse()
    stolen = pb.ListTasksRequest(page_size=1, page_token=everything.next_page_token)
    assert isinstance(await outcome(guest.ListTasks(stolen)), InvalidField)
    first = await guest.ListTasks(pb.ListTasksRequest(page_size=1))
    second = await guest.ListTasks(pb.ListTasksRequest(page_size=1, page_token=first.next_page_token))
    assert [task.name for page in (first, second) for task in page.tasks] == [task.name for task in listed.tasks]
    assert len((await operator.ListTasks(pb.ListTasksRequest())).tasks) == 4


async def test_a_session_is_watched_by_itself_only(guest: Caller, operator: Caller) -> None:
    """Events are those of its own agent; another session, or another agent's, is not there to be watched."""
    await operator.task(NAMESAKE)
    await operator.task(OTHER)
    name = await operator.task(MINE)
    seen: Any = await watched(guest.WatchSession(pb.WatchSessionRequest(session_id="mine")))
    assert seen.event.task == name
    for request in (
        pb.WatchSessionRequest(session_id="other"),
        pb.WatchSessionRequest(session_id="nobody"),
        pb.WatchSessionRequest(session_id="mine", agent="agent-2"),
    ):
        assert isinstance(await outcome(watched(guest.WatchSession(request))), SessionNotFound)


async def test_new_tasks_are_the_sessions(guest: Caller, operator: Caller) -> None:
    """A task that names no session is the caller's own; one for another session or agent is refused and not made."""
    made = await guest.CreateTask(creation())
    assert (made.agent, made.session_id) == ("agent", "mine")
    for field, fields in (
        ("session_id", {"session_id": "other"}),
        ("agent", {"agent": "agent-2"}),
        ("agent", {"agent": "agent-2", "session_id": "mine"}),
    ):
        async with refused(InvalidField, grpc.StatusCode.INVALID_ARGUMENT) as found:
            await guest.CreateTask(creation(**fields))
        assert isinstance(found[0], InvalidField)
        assert found[0].field == field
    assert len((await operator.ListTasks(pb.ListTasksRequest())).tasks) == 1


async def test_idempotency_keys_are_each_callers_own(channel: grpc.aio.Channel, guest: Caller) -> None:
    """A key that another session has used is another one: it gives nobody's task away."""
    other = Caller(channel, session_tokens.mint("workers", OTHER))
    made = await guest.CreateTask(creation(idempotency_key="once"))
    again = await guest.CreateTask(creation(idempotency_key="once"))
    others = await other.CreateTask(creation(idempotency_key="once"))
    assert made.name == again.name != others.name


# -- WorkerService -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hello", "field"),
    [
        ({"session_id": "other"}, "hello.session_id"),
        ({"session_id": ""}, "hello.session_id"),
        ({"session_id": "mine", "agent": "agent-2"}, "hello.agent"),
        ({"session_id": "mine", "lock_path": "/etc/passwd"}, "hello.lock_path"),
    ],
)
async def test_a_worker_works_for_its_session(
    channel: grpc.aio.Channel, store: TaskStore, hello: dict[str, Any], field: str
) -> None:
    """Whoever says hello for another one, for any, or with a file for others to open is not let in."""
    async with connected(channel, TOKEN) as worker, refused(InvalidField, grpc.StatusCode.INVALID_ARGUMENT) as found:
        await worker.hello("worker-1", **hello)
    assert isinstance(found[0], InvalidField)
    assert found[0].field == field
    assert not await store.living_workers()


@pytest.mark.parametrize("victim", ["workers", session_tokens.mint("workers", OTHER)], ids=["any", "session"])
async def test_no_worker_takes_anothers_place(channel: grpc.aio.Channel, store: TaskStore, victim: str) -> None:
    """With another worker's id it gets a lease of its own: the other keeps its stream, its lease and its tasks."""
    async with connected(channel, victim) as other:
        await other.hello("worker-1", "research", session_id="other")
        assert await other.do(operation(1, 1, Start("research", session_id="other"))) == {1: None}
        async with connected(channel, TOKEN) as thief:
            welcome = await thief.hello("worker-1", "research", session_id="mine")
            assert (welcome.epoch, welcome.applied_sequence) == (other.welcome.epoch + 1, 0)
            await thief.lease()
            assert isinstance((await thief.do(operation(1, 1, DONE)))[1], LeaseLost)
            await other.lease()
            assert await other.do(operation(2, 1, DONE)) == {2: None}
    assert (await store.get(1)).state is TaskState.COMPLETED


async def test_tasks_of_others_cannot_be_worked_on(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """By a guessed id a worker neither begins, reports, ends nor replaces what is another's."""
    await store.register_worker(Registration("theirs", "agent", session_id="other"))
    await store.apply("theirs", [operation(1, 1, Start("research", session_id="other"))])
    await store.apply("theirs", [operation(2, 2, Submit(Start("research", session_id="other")))])
    before = [await store.get(1), await store.get(2)]
    async with connected(channel, TOKEN) as worker:
        await worker.hello("guest", "research", session_id="mine")
        answers = await worker.do(
            operation(1, 1, Report(Progress(0.5, "half", AT))),
            operation(2, 1, Finish(TaskState.COMPLETED)),
            operation(3, 1, START),
            operation(4, 2, START),
            operation(5, 2, Submit(START)),
        )
    assert [type(answers[sequence]) for sequence in range(1, 6)] == [LeaseLost] * 2 + [TaskExists] * 3
    assert [await store.get(1), await store.get(2)] == before


async def test_a_worker_makes_tasks_of_its_session(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """One that names no session gets its own; each one for another is refused and harms none of the others."""
    async with connected(channel, TOKEN) as worker:
        await worker.hello("guest", session_id="mine")
        answers = await worker.do(
            operation(1, 1, START),
            operation(2, 2, Start("research", session_id="other")),
            operation(3, 3, Submit(Start("research", session_id="other"))),
            operation(4, 4, Submit(Start("research", session_id="mine"))),
            operation(5, 1, DONE),
        )
    refusals = {sequence: answer.message for sequence, answer in answers.items() if answer is not None}
    assert refusals == {
        2: "start.session_id: is not the session that the token is for",
        3: "submit.start.session_id: is not the session that the token is for",
    }
    for task_id in (1, 4):
        task = await store.get(task_id)
        assert SessionKey(task.agent, task.session_id) == MINE
    for task_id in (2, 3):
        with pytest.raises(TaskNotFound):
            await store.get(task_id)


async def test_a_worker_is_given_the_tasks_of_its_session(
    channel: grpc.aio.Channel, operator: Caller, store: TaskStore
) -> None:
    """Those of other sessions and agents wait for others."""
    others = [await operator.task(key) for key in (OTHER, NAMESAKE)]
    mine = await operator.task(MINE)
    async with connected(channel, TOKEN) as worker:
        await worker.hello("guest", "research", session_id="mine", max_tasks=10)
        assert (await worker.given()).name == mine
        await worker.lease()
    states: list[Task] = [await store.get(int(name.removeprefix("tasks/"))) for name in others]
    assert {task.state for task in states} == {TaskState.SUBMITTED}


async def test_a_worker_with_the_whole_token_works_for_anybody(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """It says itself what it works for, and makes tasks of any session."""
    async with connected(channel, "workers") as worker:
        await worker.hello("worker-1", agent="agent-2")
        assert await worker.do(operation(1, 1, Start("research", session_id="any"))) == {1: None}
    assert [each.worker_id for each in await store.living_workers()] == ["worker-1"]
    assert (await store.get(1)).session_id == "any"
