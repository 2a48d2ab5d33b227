"""Attempts that the task manager gives to this worker."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from outlast.context import Invocation, current_invocation
from outlast.core.operation import Finish
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task, TraceContext
from outlast.tasks.current import current_task
from outlast.tasks.orders import Orders
from outlast.tasks.submitted import run_submitted
from outlast.tasks.tracked import TrackedTask

if TYPE_CHECKING:
    from tests.unit.tasks.conftest import World

COMPLETED, FAILED, CANCELED = TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED
GIVEN = Task(7, "work", "agent", TaskState.WORKING, worker_id="w", epoch=3, attempt=1, max_attempts=3)


def give(world: World, task: Task = GIVEN, **fields: Any) -> None:
    """Give an attempt to the worker, as its stream does."""
    begin = partial(run_submitted, world.runtime, world.async_task.functions)
    Orders(world.runtime.ledger, begin).run(replace(task, **fields))


def ended(tracked: TrackedTask) -> Finish:
    """Return how an attempt has ended."""
    assert tracked.finish is not None
    return tracked.finish


@pytest.mark.parametrize("asynchronous", [True, False])
def test_the_function_is_called_with_what_is_on_record(world: World, asynchronous: bool) -> None:
    """On the tasks' loop or on a thread of its own, never on the services' loop, with its arguments."""
    seen: list[Any] = []

    def look(topic: str, *, pages: int) -> list[str]:
        seen.extend([topic, pages, threading.current_thread().name])
        return [topic]

    async def look_on_a_loop(topic: str, *, pages: int) -> list[str]:
        return look(topic, pages=pages)

    world.async_task(look_on_a_loop if asynchronous else look, name="work")
    world.runtime.ledger.on_busy(lambda busy: seen.append(busy))

    give(world, input=b'{"args": ["x"], "kwargs": {"pages": 3}}')

    assert world.settle() == [COMPLETED]
    assert seen[:3] == [True, "x", 3]
    assert seen[3].startswith("outlast-tasks" if asynchronous else "outlast-task-")
    assert ended(world.ends[0][0]).result == b'["x"]'


def test_the_request_is_there_again(world: World) -> None:
    """Request, session, trace, task id and attempt are the task's, and nothing of the stream's context is."""
    seen: list[Any] = []

    @world.async_task
    async def work() -> None:
        seen.extend([current_invocation.get(), current_task().task_id, world.the_task().attempt])

    trace = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    token = current_invocation.set(Invocation("another"))
    give(world, request_id="r", session_id="s", trace_context=trace, attempt=2)
    current_invocation.reset(token)
    world.settle()

    invocation = seen[0]
    assert (invocation.request_id, invocation.session_id, invocation.trace_context) == ("r", "s", trace)
    assert seen[1:] == [7, 2]


def test_an_attempt_runs_once(world: World) -> None:
    """It is given again after every break of the stream: while it runs and after it has ended nothing happens."""

    @world.async_task
    async def work() -> None:
        await world.gate.passed()

    give(world)
    give(world)
    assert len(world.runtime.ledger.live()) == 1
    world.gate.open()
    world.settle()
    give(world)
    assert world.settle() == [COMPLETED]

    give(world, attempt=2)
    give(world, attempt=1)

    assert world.settle() == [COMPLETED] * 2
    assert [tracked.attempt for tracked, _ in world.ends] == [1, 2]


def test_an_older_attempt_gives_way(world: World) -> None:
    """Where an attempt is given whose predecessor lives here, that one is nobody's any more, and is told to stop."""

    @world.async_task
    async def work() -> int:
        world.began.open()
        await world.gate.passed()
        return world.the_task().attempt

    give(world)
    world.began.wait()
    older = world.the_task()
    give(world, attempt=2)
    world.gate.open()
    world.settle()

    assert (ended(older).state, ended(older).state_reason) == (FAILED, StateReason.WORKER_LOST)
    assert older.cancel_requested
    assert [(tracked.attempt, tracked.state) for tracked, _ in world.ends] == [(2, COMPLETED)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task_type": "cook"}, "this worker has no function for tasks of the type cook"),
        ({"input": b'{"args": [1, 2]}'}, "the recorded arguments do not fit work: too many positional arguments"),
        ({}, "the recorded arguments do not fit work: missing a required argument: 'topic'"),
        ({"input": b'{"kwargs": {"topic": 1, "self": 2}}'}, "got an unexpected keyword argument 'self'"),
        ({"input": b"[]"}, "input: is no JSON object of `args`"),
        ({"task_type": "of_class", "input": b'{"args": [1]}'}, "of_class is a class method"),
        ({"task_type": "method", "input": b'{"args": [1]}'}, "missing a required argument: 'topic'"),
    ],
)
@pytest.mark.parametrize("asynchronous", [True, False])
def test_what_cannot_be_begun_is_the_tasks_failure(
    world: World, fields: dict[str, Any], message: str, asynchronous: bool
) -> None:
    """INPUT_REFUSED, which no other attempt would mend, with an error that says why; no code has run."""

    async def work(topic: str) -> None:
        raise AssertionError

    def work_on_a_thread(topic: str) -> None:
        raise AssertionError

    class Agent:
        @world.async_task
        @classmethod
        def of_class(cls, topic: str) -> None: ...

        @world.async_task
        def method(self, topic: str) -> None: ...

    world.async_task(work if asynchronous else work_on_a_thread, name="work")
    world.runtime.ledger.attach(lambda: None)

    give(world, **fields)

    assert not world.runtime.ledger.busy
    (operation,) = world.runtime.ledger.take(10, 1 << 20)
    finish = operation.action
    assert isinstance(finish, Finish)
    assert (operation.task_id, finish.state, finish.state_reason) == (7, FAILED, StateReason.INPUT_REFUSED)
    assert finish.error is not None
    assert (finish.error.code, finish.error.type) == (3, "INPUT_REFUSED")
    assert message in finish.error.message
    assert world.runtime.threads.running == 0


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_type_error_of_the_code_is_its_own(world: World, asynchronous: bool) -> None:
    """Only what the arguments are to blame for is refused: code that raises has failed, and may be tried again."""

    async def work() -> None:
        raise TypeError("not mine")

    def work_on_a_thread() -> None:
        raise TypeError("not mine")

    world.async_task(work if asynchronous else work_on_a_thread, name="work")

    give(world)

    assert world.settle() == [FAILED]
    finish = ended(world.ends[0][0])
    assert finish.error is not None
    assert (finish.state_reason, finish.error.type, finish.error.message) == ("", "TypeError", "not mine")


@pytest.mark.parametrize("asynchronous", [True, False])
def test_an_attempt_is_canceled_from_outside(world: World, asynchronous: bool) -> None:
    """As any other: a coroutine gets CancelledError, other code asks."""

    async def work() -> None:
        world.began.open()
        await world.gate.passed()

    def work_on_a_thread() -> None:
        world.began.open()
        world.gate.wait()
        current_task().raise_if_cancelled()

    world.async_task(work if asynchronous else work_on_a_thread, name="work")
    give(world)
    world.began.wait()

    world.the_task().cancel()
    world.gate.open()

    assert world.settle() == [CANCELED]
    assert ended(world.ends[0][0]).state_reason == StateReason.CANCEL_REQUESTED


def test_a_method_is_given_its_own_process_object(world: World) -> None:
    """A bound method that was decorated as such has its object in every process that has decorated it."""

    class Service:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def work(self, number: int) -> None:
            self.seen.append(number)

    service = Service()
    task = world.async_task(max_attempts=2)(service.work)
    task.start(1).result(20)

    give(world, input=world.ends[0][0].start.input)

    assert world.settle() == [COMPLETED] * 2
    assert service.seen == [1, 1]
