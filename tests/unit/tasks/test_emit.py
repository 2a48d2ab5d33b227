"""Output that waits for the task manager: bounded, joined, never dropped, and who waits comes out again."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable

import pytest

from outlast import limits
from outlast.core.errors import BacklogFull
from outlast.core.operation import Finish, Output, Start
from outlast.core.state import TaskState
from outlast.tasks import output_room
from outlast.tasks.current import CurrentTask
from outlast.tasks.ledger import Ledger
from outlast.tasks.tracked import TrackedTask

MANY = 1 << 30
PATIENCE = 20.0
#: Four of these fill the room of a task.
QUARTER = "x" * (limits.MAX_UNACKNOWLEDGED_OUTPUT // 4 - len('[""]'))


@pytest.fixture
def ledger() -> Ledger:
    """A ledger with somebody listening."""
    ledger = Ledger()
    ledger.attach(lambda: None)
    return ledger


def current(ledger: Ledger) -> tuple[TrackedTask, CurrentTask]:
    """Return a new task, from outside and from inside."""
    task = ledger.start(Start("work"))
    return task, CurrentTask(task, ledger, limits.MAX_RESULT_BYTES)


def fill(task: CurrentTask) -> None:
    """Emit as much as there is room for."""
    for _ in range(4):
        task.emit(QUARTER)


def answer_all(ledger: Ledger) -> list[object]:
    """Have everything answered; return the chunks."""
    chunks: list[object] = []
    for operation in ledger.take(MANY, MANY):
        if isinstance(operation.action, Output):
            chunks += json.loads(operation.action.chunks)
        ledger.answer(operation.sequence)
    return chunks


def in_thread(work: Callable[[], None]) -> tuple[threading.Thread, list[BaseException]]:
    """Run in a thread; return it, and what comes to be raised there."""
    errors: list[BaseException] = []

    def main() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    return thread, errors


def wait_until_blocked(ledger: Ledger, thread: threading.Thread) -> None:
    """Return when somebody waits for room in the ledger, or the thread has ended."""
    while thread.is_alive() and not (ledger._queue.room._own or ledger._queue.room._everybodys):
        thread.join(0.001)


def test_a_thread_waits_until_there_is_room(ledger: Ledger) -> None:
    """emit() blocks over a MiB that nobody has acknowledged, goes on after the answer, and nothing is lost."""
    _, task = current(ledger)
    fill(task)
    thread, errors = in_thread(lambda: task.emit("more"))
    wait_until_blocked(ledger, thread)
    assert thread.is_alive()

    chunks = answer_all(ledger)
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert errors == []
    assert chunks + answer_all(ledger) == [QUARTER] * 4 + ["more"]


async def test_on_a_loop_emit_says_what_waits(ledger: Ledger) -> None:
    """Blocking would stop the loop: BacklogFull names aemit(), and nothing was recorded."""
    _, task = current(ledger)
    fill(task)

    with pytest.raises(BacklogFull, match="await aemit"):
        task.emit("more")

    assert answer_all(ledger) == [QUARTER] * 4
    task.emit("more")
    assert answer_all(ledger) == ["more"]


async def test_aemit_waits_on_the_loop(ledger: Ledger) -> None:
    """It gives way while there is no room, for several at once, and loses nothing."""
    _, task = current(ledger)
    fill(task)
    waiting = [asyncio.create_task(task.aemit(step)) for step in range(3)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)

    chunks = answer_all(ledger)
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*waiting)

    assert chunks == [QUARTER] * 4
    assert sorted(map(str, answer_all(ledger))) == ["0", "1", "2"]


def test_a_cancel_ends_the_wait_of_a_thread(ledger: Ledger) -> None:
    """The manager may be gone for hours: whoever asks to cancel is heard all the same."""
    tracked, task = current(ledger)
    fill(task)
    thread, errors = in_thread(lambda: task.emit("more"))
    wait_until_blocked(ledger, thread)

    tracked.cancel()
    thread.join(PATIENCE)

    assert [type(error) for error in errors] == [asyncio.CancelledError]


def test_the_end_of_the_task_ends_the_wait(ledger: Ledger) -> None:
    """A task that was ended by somebody else has nothing more to say, and its thread goes on."""
    tracked, task = current(ledger)
    fill(task)
    thread, errors = in_thread(lambda: task.emit("more"))
    wait_until_blocked(ledger, thread)

    ledger.finish(tracked, Finish(TaskState.FAILED))
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert errors == []
    assert "more" not in answer_all(ledger)


async def test_a_task_that_was_canceled_does_not_begin_to_wait(ledger: Ledger) -> None:
    """What it may still emit without waiting is kept."""
    tracked, task = current(ledger)
    tracked.cancel()
    fill(task)

    with pytest.raises(asyncio.CancelledError):
        await task.aemit("more")


def test_a_detached_ledger_lets_everybody_go(ledger: Ledger) -> None:
    """At the end of the services nobody will ever answer."""
    _, task = current(ledger)
    fill(task)
    thread, errors = in_thread(lambda: task.emit("more"))
    wait_until_blocked(ledger, thread)

    ledger.detach()
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert errors == []


def test_all_tasks_together_have_a_bound(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task with room of its own waits while those of the process have used up theirs."""
    monkeypatch.setattr(output_room, "MAX_IN_ALL", 2 * limits.MAX_UNACKNOWLEDGED_OUTPUT)
    for _ in range(2):
        fill(current(ledger)[1])
    _, task = current(ledger)
    thread, errors = in_thread(lambda: task.emit(QUARTER))
    wait_until_blocked(ledger, thread)
    assert thread.is_alive()

    answer_all(ledger)
    thread.join(PATIENCE)

    assert not thread.is_alive()
    assert errors == []
    assert answer_all(ledger) == [QUARTER]


def test_a_finaliser_inside_of_the_ledger_does_not_wait(ledger: Ledger) -> None:
    """The garbage collector may run it in a thread that holds the lock, which every answer needs."""
    _, task = current(ledger)
    fill(task)

    with ledger._lock, pytest.raises(BacklogFull, match="finaliser"):
        task.emit("more")


def test_one_chunk_may_be_larger_than_the_room(ledger: Ledger) -> None:
    """A setting allows larger results than the room has bytes: such a chunk has it to itself."""
    task = CurrentTask(ledger.start(Start("work")), ledger, 10 * limits.MAX_RESULT_BYTES)

    task.emit("x" * (2 * limits.MAX_UNACKNOWLEDGED_OUTPUT))

    assert len(answer_all(ledger)) == 1


def test_nothing_waits_where_nobody_records() -> None:
    """Without a task manager output goes nowhere, however much it is."""
    _, task = current(Ledger())

    for _ in range(100):
        task.emit(QUARTER)


def test_a_task_knows_its_attempt_and_that_the_end_is_near(ledger: Ledger) -> None:
    """current_task() says which attempt it is, of how many, and whether the process drains."""
    task = CurrentTask(ledger.start(Start("work", max_attempts=3)), ledger, limits.MAX_RESULT_BYTES)
    assert (task.attempt, task.max_attempts, task.draining) == (1, 3, False)

    ledger.draining = True

    assert task.draining
