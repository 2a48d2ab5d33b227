"""Tasks that are tracked by hand."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from outlast.context import Invocation, current_invocation
from outlast.core.errors import InvalidField
from outlast.core.operation import Finish
from outlast.core.state import StateReason, TaskState
from outlast.tasks import manual
from outlast.tasks.current import current_task
from outlast.tasks.tracked import TrackedTask

if TYPE_CHECKING:
    from tests.unit.tasks.conftest import World


def ended(task: TrackedTask) -> Finish:
    """Return how the task ended."""
    assert task.finish is not None
    return task.finish


def test_add_and_complete(world: World) -> None:
    """A task lives from add to the first complete, whichever thread calls; the second one says that it is gone."""
    token = current_invocation.set(Invocation("request-1", "session-1"))
    task_id = manual.add(world.runtime, "data_processing", {"rows": 3}, timeout=1.5)
    current_invocation.reset(token)
    task = world.the_task()

    assert world.runtime.ledger.busy
    assert (task.task_id, task.task_type, task.start.metadata) == (task_id, "data_processing", b'{"rows": 3}')
    assert (task.start.request_id, task.start.session_id) == ("request-1", "session-1")
    assert (task.start.timeout, task.start.manual) == (timedelta(seconds=1.5), True)
    assert world.in_thread(lambda: manual.complete(world.runtime, task_id, {"sum": 6}))
    assert not manual.complete(world.runtime, task_id)
    assert ended(task) == Finish(TaskState.COMPLETED, result=b'{"sum": 6}')
    assert not world.runtime.ledger.busy


@pytest.mark.parametrize(
    ("error", "state", "reason", "message", "kind"),
    [
        ("disk full", TaskState.FAILED, "", "disk full", "UNKNOWN"),
        (LookupError("no such page"), TaskState.FAILED, "", "no such page", "LookupError"),
        (asyncio.CancelledError("enough"), TaskState.CANCELED, StateReason.SELF, "enough", "SELF"),
    ],
)
def test_complete_with_an_error(
    world: World, error: BaseException | str, state: TaskState, reason: str, message: str, kind: str
) -> None:
    """Words and exceptions fail the task, a cancellation cancels it."""
    task_id = manual.add(world.runtime, "work")
    task = world.the_task()

    assert manual.complete(world.runtime, task_id, error=error)

    finish = ended(task)
    assert finish.error is not None
    assert (finish.state, finish.state_reason) == (state, reason)
    assert (finish.error.message, finish.error.type) == (message, kind)


def test_a_task_that_was_ended_meanwhile_cannot_be_completed(world: World) -> None:
    """A cancel is seen and ends nothing yet; once the task manager has ended the task, complete says it is gone."""
    task_id = manual.add(world.runtime, "work")
    task = world.the_task()

    task.cancel()
    assert (task.cancel_requested, task.state) == (True, TaskState.WORKING)
    world.runtime.ledger.drop(task_id, Finish(TaskState.CANCELED, StateReason.CANCEL_REQUESTED))

    assert not manual.complete(world.runtime, task_id, "too late")
    assert task.state is TaskState.CANCELED


def test_a_block_has_code_that_a_cancel_reaches(world: World) -> None:
    """A task for the length of a block is not one that is tracked by hand."""
    with manual.TaskBlock(world.runtime, "ingest", timeout=timedelta(seconds=5)):
        start = world.the_task().start
        assert (start.manual, start.timeout) == (False, timedelta(seconds=5))


def test_a_result_over_the_limit_fails_the_task(world: World) -> None:
    """As for a decorated function."""
    world.runtime.max_result_bytes = 10
    task_id = manual.add(world.runtime, "work")
    task = world.the_task()

    assert manual.complete(world.runtime, task_id, "x" * 10)

    assert ended(task).state_reason == StateReason.RESULT_REFUSED


def test_names_of_any_kind_are_taken_as_text(world: World) -> None:
    """The original takes any value for a name; ours is its text, unless no store could hold that."""
    manual.add(world.runtime, 42)

    assert world.the_task().task_type == "42"
    for poison in ("", "two\nlines", "\ud800", "x" * 257):
        with pytest.raises(InvalidField, match="name"):
            manual.add(world.runtime, poison)
    with pytest.raises(InvalidField, match="metadata: is 1,048,578 bytes of JSON, over the limit of 1,048,576"):
        manual.add(world.runtime, "work", "x" * 1048576)
    for timeout in (0, -1, float("nan"), float("inf"), "soon"):
        with pytest.raises(InvalidField, match="timeout"):
            manual.add(world.runtime, "work", timeout=timeout)  # type: ignore[arg-type]


def test_a_block_is_a_task(world: World) -> None:
    """``with`` gives the current task; leaving the block completes it, an exception fails it and passes on."""
    with manual.TaskBlock(world.runtime, "ingest", {"rows": 3}) as task:
        tracked = world.the_task()
        assert current_task() is task
        assert (tracked.task_type, tracked.start.metadata) == ("ingest", b'{"rows": 3}')
    assert ended(tracked) == Finish(TaskState.COMPLETED, result=b"null")

    error = LookupError("no such page")
    kept: list[TrackedTask] = []

    def fail() -> None:
        with manual.TaskBlock(world.runtime, "ingest"):
            kept.append(world.the_task())
            raise error

    with pytest.raises(LookupError) as raised:
        fail()
    assert raised.value is error
    assert ended(kept[0]).state is TaskState.FAILED
    with pytest.raises(RuntimeError, match="outside of a task"):
        current_task()


def test_an_async_block_is_canceled_from_outside(world: World) -> None:
    """A cancel reaches the code in ``async with`` as it reaches a decorated coroutine."""
    kept: list[TrackedTask] = []

    async def main() -> None:
        async with manual.TaskBlock(world.runtime, "ingest"):
            kept.append(world.the_task())
            threading.Thread(target=kept[0].cancel).start()
            await asyncio.get_running_loop().create_future()

    async def caller() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(main())

    world.in_thread(lambda: asyncio.run(caller()))

    assert (ended(kept[0]).state, ended(kept[0]).state_reason) == (TaskState.CANCELED, StateReason.CANCEL_REQUESTED)


def test_blocks_nest_and_repeat(world: World) -> None:
    """A block can be entered again after it was left, and not while it is entered."""
    block = manual.TaskBlock(world.runtime, "ingest")
    seen: list[Any] = []

    for _ in range(2):
        with block as outer, manual.TaskBlock(world.runtime, "step") as inner:
            seen += [outer.task_id, inner.task_id]
            with pytest.raises(RuntimeError, match="entered already"):
                block.__enter__()

    assert len(set(seen)) == 4
    assert not world.runtime.ledger.busy
