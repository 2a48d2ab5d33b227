"""TaskService: what people and programs ask, and how it says no."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from outlast.core.errors import IdempotencyConflict, IllegalTransition, InvalidField, TaskNotFound
from outlast.core.policy import Policy
from outlast.v1 import task_pb2
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import (
    CancelTaskRequest,
    CreateTaskRequest,
    DeleteTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    RetryTaskRequest,
    WaitTaskRequest,
    WatchTaskRequest,
)
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlast.wire.errors import DETAILS_KEY
from outlastd.stores.sqlite import SQLiteTaskStore

from .conftest import Serve
from .speaking import DONE, START, Seen, connected, operation, refused

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def details(error: grpc.aio.AioRpcError) -> dict[str, object]:
    """Return the details of a failed call by their type."""
    found: dict[str, object] = {}
    status = Status.FromString(dict(error.trailing_metadata())[DETAILS_KEY])
    for detail in status.details:
        for kind in (BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo):
            message = kind()
            if detail.Unpack(message):
                found[kind.__name__] = message
    return found


def creation(**fields: object) -> CreateTaskRequest:
    """Return a request to submit a task."""
    return CreateTaskRequest(**{"agent": "agent", "task_type": "research", **fields})  # type: ignore[arg-type]


async def test_a_task_is_created_and_read_back(tasks: TaskServiceStub) -> None:
    """CreateTask answers a SUBMITTED task, generation 1, that GetTask returns in full and in the BASIC view."""
    created = await tasks.CreateTask(
        creation(
            input='{"args": ["été"]}',
            labels={"k": "v"},
            session_id="s",
            max_attempts=2,
            timeout=Duration(seconds=30),
            backoff=Duration(nanos=500_000_000),
            queue_timeout=Duration(seconds=60),
        )
    )
    assert (created.timeout.seconds, created.backoff.nanos, created.queue_timeout.seconds) == (30, 500_000_000, 60)
    assert (created.state, created.state_reason, created.generation) == (Task.SUBMITTED, "NO_WORKER", 1)
    assert created.name == f"tasks/{created.task_id}"
    assert await tasks.GetTask(GetTaskRequest(name=created.name)) == created
    basic = await tasks.GetTask(GetTaskRequest(name=created.name, view=task_pb2.TASK_VIEW_BASIC))
    assert (created.input, basic.input) == ('{"args": ["été"]}', "")


async def test_an_idempotency_key_makes_one_task(tasks: TaskServiceStub) -> None:
    """The same key with the same request answers the same task; with another request it is refused."""
    first = await tasks.CreateTask(creation(idempotency_key="k"))
    assert (await tasks.CreateTask(creation(idempotency_key="k"))).name == first.name
    async with refused(IdempotencyConflict, grpc.StatusCode.FAILED_PRECONDITION):
        await tasks.CreateTask(creation(idempotency_key="k", task_type="other"))


async def test_an_idempotency_key_belongs_to_its_caller(serve: Serve) -> None:
    """Who shows another token is another caller: the same key makes a task of its own."""
    bound = await serve()
    async with grpc.aio.insecure_channel(bound.public) as channel:
        tasks = TaskServiceStub(channel)

        async def create(token: str) -> str:
            metadata = (("authorization", f"Bearer {token}"),) if token else ()
            return (await tasks.CreateTask(creation(idempotency_key="k"), metadata=metadata)).name

        names = [await create(token) for token in ("", "one", "two", "one", "")]
    assert len(set(names)) == 3
    assert (names[0], names[1]) == (names[4], names[3])


async def test_a_full_backlog_is_refused(serve: Serve, tmp_path: Path) -> None:
    """Over the bound of waiting tasks CreateTask is RESOURCE_EXHAUSTED and says when to come again."""
    store = await SQLiteTaskStore.open(tmp_path / "full.db", Policy(max_backlog=2))
    bound = await serve(store=store)
    async with grpc.aio.insecure_channel(bound.public) as channel:
        tasks = TaskServiceStub(channel)
        created = [await tasks.CreateTask(creation()) for _ in range(2)]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await tasks.CreateTask(creation())
        assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert isinstance(retry := details(raised.value)["RetryInfo"], RetryInfo)
        assert retry.retry_delay.seconds == 1
        await tasks.CancelTask(CancelTaskRequest(name=created[0].name))
        await tasks.CreateTask(creation())
    await store.close()


async def test_an_ended_task_is_deleted(tasks: TaskServiceStub) -> None:
    """Before it has ended it is refused; afterwards it is gone, and whoever watches it is told so."""
    created = await tasks.CreateTask(creation())
    async with refused(IllegalTransition, grpc.StatusCode.FAILED_PRECONDITION):
        await tasks.DeleteTask(DeleteTaskRequest(name=created.name))
    await tasks.CancelTask(CancelTaskRequest(name=created.name))
    await tasks.DeleteTask(DeleteTaskRequest(name=created.name))
    for call in (
        tasks.GetTask(GetTaskRequest(name=created.name)),
        tasks.DeleteTask(DeleteTaskRequest(name=created.name)),
    ):
        async with refused(TaskNotFound, grpc.StatusCode.NOT_FOUND):
            await call


async def test_an_ended_task_is_retried(tasks: TaskServiceStub) -> None:
    """A new task with the same arguments and rules, a label that names the old one, and the trace of the call."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    old = await tasks.CreateTask(
        creation(
            input='{"args": [1]}',
            session_id="s",
            labels={"k": "v"},
            max_attempts=3,
            timeout=Duration(seconds=9),
            backoff=Duration(seconds=2),
            queue_timeout=Duration(seconds=60),
        )
    )
    async with refused(IllegalTransition, grpc.StatusCode.FAILED_PRECONDITION) as error:
        await tasks.RetryTask(RetryTaskRequest(name=old.name))
    assert str(error[0]) == f"{old.name} is SUBMITTED and cannot become a new task before it has ended"
    await tasks.CancelTask(CancelTaskRequest(name=old.name))
    request = RetryTaskRequest(name=old.name, idempotency_key="again")
    new = await tasks.RetryTask(request, metadata=(("traceparent", parent),))
    assert (await tasks.RetryTask(request)).name == new.name != old.name
    assert dict(new.labels) == {"k": "v", "outlast.retry_of": str(old.task_id)}
    assert new.trace_context.traceparent == parent
    assert (new.state, new.attempt, new.generation) == (Task.SUBMITTED, 0, 1)
    for field in ("agent", "task_type", "input", "session_id", "max_attempts", "timeout", "backoff", "queue_timeout"):
        assert getattr(new, field) == getattr(old, field)


async def test_a_task_without_arguments_on_record_is_not_retried(
    tasks: TaskServiceStub, channel: grpc.aio.Channel
) -> None:
    """The refusal says why."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START), operation(2, 7, DONE))
    async with refused(IllegalTransition, grpc.StatusCode.FAILED_PRECONDITION) as error:
        await tasks.RetryTask(RetryTaskRequest(name="tasks/7"))
    assert "its arguments are not on record" in str(error[0])


async def test_the_trace_of_the_call_is_the_tasks(tasks: TaskServiceStub) -> None:
    """Without a trace context of its own, a submitted task belongs to the trace in the call's metadata."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    created = await tasks.CreateTask(creation(), metadata=(("traceparent", parent),))
    assert created.trace_context.traceparent == parent


async def test_an_unknown_task_is_named(tasks: TaskServiceStub) -> None:
    """NOT_FOUND carries ResourceInfo with the task's name and our ErrorInfo, on every method."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await tasks.GetTask(GetTaskRequest(name="tasks/7"))
    found = details(raised.value)
    assert isinstance(resource := found["ResourceInfo"], ResourceInfo)
    assert resource.resource_name == "tasks/7"
    assert isinstance(info := found["ErrorInfo"], ErrorInfo)
    assert (info.reason, info.domain) == ("NOT_FOUND", "outlast.dev")
    for call in (
        tasks.CancelTask(CancelTaskRequest(name="tasks/7")),
        tasks.DeleteTask(DeleteTaskRequest(name="tasks/7")),
        tasks.RetryTask(RetryTaskRequest(name="tasks/7")),
        tasks.WaitTask(WaitTaskRequest(name="tasks/7")),
    ):
        async with refused(TaskNotFound, grpc.StatusCode.NOT_FOUND):
            await call
    async with refused(TaskNotFound, grpc.StatusCode.NOT_FOUND):
        await tasks.WatchTask(WatchTaskRequest(name="tasks/7")).read()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (creation(task_type=""), "task_type"),
        (creation(agent=""), "agent"),
        (creation(input="{"), "input"),
        (creation(input="[]"), "input"),
        (creation(input='{"a": "' + "x" * 1024 * 1024 + '"}'), "input"),
        (creation(input="[" * 100_000), "input"),
        (creation(labels={"k": "x" * 2_000}), "labels[k]"),
        (creation(session_id="a\nb"), "session_id"),
        (creation(max_attempts=-1), "max_attempts"),
        (creation(timeout=Duration(seconds=-1)), "timeout"),
        (creation(timeout=Duration(seconds=2**62)), "timeout"),
        (creation(timeout=Duration(seconds=2**30)), "timeout"),
        (creation(timeout=Duration()), "timeout"),
        (creation(backoff=Duration(seconds=-1)), "backoff"),
        (creation(backoff=Duration(seconds=86_400 * 31)), "backoff"),
        (creation(queue_timeout=Duration()), "queue_timeout"),
        (creation(queue_timeout=Duration(seconds=2**30)), "queue_timeout"),
        (CancelTaskRequest(name="tasks/1", grace=Duration(seconds=-1)), "grace"),
        (DeleteTaskRequest(name="tasks/x"), "name"),
        (RetryTaskRequest(name="tasks/1", idempotency_key="x" * 300), "idempotency_key"),
        (GetTaskRequest(name="7"), "name"),
        (GetTaskRequest(name="tasks/-1"), "name"),
        (GetTaskRequest(name="tasks/99999999999999999999"), "name"),
        (GetTaskRequest(name="tasks/1", view=7), "view"),  # type: ignore[arg-type]
        (ListTasksRequest(page_size=-1), "page_size"),
        (ListTasksRequest(page_token="é"), "page_token"),
        (ListTasksRequest(page_token="AAAA"), "page_token"),
        (ListTasksRequest(states=[99]), "states"),  # type: ignore[list-item]
        (ListTasksRequest(session_id="x" * 2_000), "session_id"),
        (WaitTaskRequest(name="tasks/1", timeout=Duration(seconds=-1)), "timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_a_bad_field_is_named(tasks: TaskServiceStub, request_: object, field: str) -> None:
    """INVALID_ARGUMENT carries BadRequest with the name of the field, and the server goes on serving."""
    method = getattr(tasks, type(request_).__name__.removesuffix("Request"))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await method(request_)
    assert raised.value.code() == INVALID
    assert isinstance(bad := details(raised.value)["BadRequest"], BadRequest)
    assert [violation.field for violation in bad.field_violations] == [field]


async def test_pages_walk_a_list_without_loss_or_repeat(tasks: TaskServiceStub) -> None:
    """Pages of two walk five tasks, newest first, though one is created in between; the last has no token."""
    names = [(await tasks.CreateTask(creation())).name for _ in range(5)]
    request, found = ListTasksRequest(page_size=2, agent="agent"), list[str]()
    while True:
        page = await tasks.ListTasks(request)
        found += [task.name for task in page.tasks]
        await tasks.CreateTask(creation())
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == names[::-1]


async def test_a_page_token_belongs_to_its_filters(tasks: TaskServiceStub) -> None:
    """A token with other filters is refused; another page size and view are fine."""
    for _ in range(3):
        await tasks.CreateTask(creation())
    token = (await tasks.ListTasks(ListTasksRequest(page_size=1))).next_page_token
    assert len((await tasks.ListTasks(ListTasksRequest(page_size=9, page_token=token))).tasks) == 2
    async with refused(InvalidField, INVALID) as error:
        await tasks.ListTasks(ListTasksRequest(page_size=1, page_token=token, session_id="other"))
    assert getattr(error[0], "field", "") == "page_token"


async def test_full_pages_end_before_they_are_too_large(tasks: TaskServiceStub) -> None:
    """Six tasks of 0.9 MB make FULL pages that every client takes, and one BASIC page without the input."""
    big = '{"kwargs": {"text": "' + "x" * 900_000 + '"}}'
    names = [(await tasks.CreateTask(creation(input=big))).name for _ in range(6)]
    request, sizes, found = ListTasksRequest(view=task_pb2.TASK_VIEW_FULL), list[int](), list[str]()
    while not sizes or request.page_token:
        page = await tasks.ListTasks(request)
        sizes.append(page.ByteSize())
        found += [task.name for task in page.tasks]
        request.page_token = page.next_page_token
    assert found == names[::-1]
    assert max(sizes) < 2.1 * 1024 * 1024
    basic = await tasks.ListTasks(ListTasksRequest())
    assert len(basic.tasks) == 6
    assert basic.ByteSize() < 10_000


async def test_lists_are_filtered(tasks: TaskServiceStub) -> None:
    """States, session and agent filter; STATE_UNSPECIFIED among the states means any."""
    await tasks.CreateTask(creation(session_id="s"))
    await tasks.CreateTask(creation(agent="other"))
    canceled = await tasks.CreateTask(creation())
    await tasks.CancelTask(CancelTaskRequest(name=canceled.name))

    async def count(**filters: object) -> int:
        return len((await tasks.ListTasks(ListTasksRequest(**filters))).tasks)  # type: ignore[arg-type]

    assert await count(session_id="s") == 1
    assert await count(agent="other") == 1
    assert await count(states=[Task.CANCELED]) == 1
    assert await count(states=[Task.CANCELED, Task.STATE_UNSPECIFIED]) == 3


async def test_a_waiting_task_is_canceled_at_once_and_only_once(tasks: TaskServiceStub, seen: Seen) -> None:
    """A task that no worker has started is CANCELED; asking again names the state that does not allow it."""
    created = await tasks.CreateTask(creation())
    canceled = await tasks.CancelTask(CancelTaskRequest(name=created.name))
    assert (canceled.state, canceled.generation) == (Task.CANCELED, 2)
    assert seen.lines == [("CANCEL_REQUESTED", created.task_id)]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await tasks.CancelTask(CancelTaskRequest(name=created.name))
    assert isinstance(failure := details(raised.value)["PreconditionFailure"], PreconditionFailure)
    assert (failure.violations[0].type, failure.violations[0].subject) == ("CANCELED", created.name)
    async with refused(IllegalTransition, grpc.StatusCode.FAILED_PRECONDITION):
        await tasks.CancelTask(CancelTaskRequest(name=created.name))


async def test_a_wait_ends_with_the_task(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """WaitTask answers a task as it stands when its time is up, and the result as soon as there is one."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        short = await tasks.WaitTask(WaitTaskRequest(name="tasks/7", timeout=Duration(nanos=1_000_000)))
        assert short.state == Task.WORKING
        waiting = asyncio.ensure_future(tasks.WaitTask(WaitTaskRequest(name="tasks/7")))
        await worker.do(operation(2, 7, DONE))
        done = await waiting
        assert (done.state, done.result) == (Task.COMPLETED, '{"answer": 42}')
        assert await tasks.WaitTask(WaitTaskRequest(name="tasks/7")) == done
