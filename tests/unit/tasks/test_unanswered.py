"""The queue of unanswered operations: order, replays, and what is folded together before it is sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from outlast.core.operation import Finish, Operation, Output, Report, Start
from outlast.core.state import TaskState
from outlast.core.task import Progress
from outlast.tasks.unanswered import (
    BATCH_BYTES,
    BATCH_OPERATIONS,
    JOINED_OUTPUT,
    MAX_IN_FLIGHT,
    UnansweredOperations,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MANY = 1 << 30


def report(fraction: float) -> Report:
    """Return a report of progress."""
    return Report(Progress(fraction, "", NOW))


def taken(queue: UnansweredOperations) -> list[Operation]:
    """Take everything."""
    return queue.take(MANY, MANY)


def chunks(operation: Operation) -> object:
    """Return the output of an operation."""
    assert isinstance(operation.action, Output)
    return json.loads(operation.action.chunks)


def test_a_report_takes_the_place_of_the_last_one_wherever_that_waits() -> None:
    """Other tasks' operations may lie between; the order of what is there stays."""
    queue = UnansweredOperations()
    queue.add(1, NOW, report(0.1))
    for task_id in range(2, 100):
        queue.add(task_id, NOW, Start("work"))

    assert queue.replace_report(1, NOW, report(0.9))

    assert taken(queue)[0].action == report(0.9)
    assert len(queue) == 99


def test_what_was_taken_stays_as_it_was() -> None:
    """It may have been applied although the stream broke: a replay does nothing, so nothing may be put into it."""
    queue = UnansweredOperations()
    queue.add(1, NOW, report(0.1))
    queue.add(1, NOW, Output(b"[1]"))
    first = taken(queue)
    queue.rewind()

    assert not queue.replace_report(1, NOW, report(0.9))
    queue.add(1, NOW, Output(b"[2]"))

    again = taken(queue)
    assert again[:2] == first
    assert chunks(again[2]) == [2]


def test_output_is_joined_across_other_tasks_and_in_its_order() -> None:
    """A task's chunks are one array, in the order in which they were given out."""
    queue = UnansweredOperations()
    for step in range(1_000):
        queue.add(1, NOW, Output(json.dumps([step]).encode()))
        queue.add(2, NOW, Output(json.dumps([-step]).encode()))

    first, second = taken(queue)

    assert chunks(first) == list(range(1_000))
    assert chunks(second) == [-step for step in range(1_000)]
    assert queue.room.of_task(1) == len(first.action.chunks)  # type: ignore[union-attr]


def test_a_joined_output_has_a_bound() -> None:
    """A message stays small enough to be decoded quickly, and what comes later stays later."""
    queue = UnansweredOperations()
    large = Output(b'["' + b"x" * (JOINED_OUTPUT // 2) + b'"]')
    for _ in range(3):
        queue.add(1, NOW, large)
    queue.add(1, NOW, Output(b"[1]"))

    sizes = [len(str(chunks(operation))) for operation in taken(queue)]

    assert len(sizes) == 3
    assert max(sizes) < JOINED_OUTPUT


def test_answers_free_what_they_cover() -> None:
    """Operations, bytes of output, and the knowledge of the task go with the answer, and in-flight counts go on."""
    queue = UnansweredOperations()
    queue.add(1, NOW, Start("work"))
    queue.add(1, NOW, Output(b"[1]"))
    queue.add(2, NOW, Start("work"))
    queue.take(2, MANY)
    assert queue.in_flight == 2

    dropped = queue.answer(2)

    assert [operation.sequence for operation in dropped] == [1, 2]
    assert (queue.in_flight, len(queue), queue.answered) == (0, 1, 2)
    assert (queue.has(1), queue.has(2), queue.room.of_task(1)) == (False, True, 0)
    assert [operation.sequence for operation in taken(queue)] == [3]


def test_an_answer_may_come_before_the_operation_is_taken_again() -> None:
    """After a break the welcome answers what had arrived, and the rest goes out from there."""
    queue = UnansweredOperations()
    for task_id in range(1, 6):
        queue.add(task_id, NOW, Finish(TaskState.COMPLETED))
    taken(queue)
    queue.rewind()

    queue.answer(3)

    assert [operation.sequence for operation in taken(queue)] == [4, 5]


def test_an_answer_beyond_the_newest_answers_all_there_is() -> None:
    """A number from elsewhere does not make the count run ahead."""
    queue = UnansweredOperations()
    queue.add(1, NOW, Start("work"))

    queue.answer(MANY)

    assert (queue.answered, queue.sequence) == (1, 1)


def test_a_batch_gathers_while_more_is_on_its_way() -> None:
    """What comes alone goes at once; later it takes as much as has not been answered yet."""
    queue = UnansweredOperations()
    assert not queue.ready
    queue.add(1, NOW, Start("work"))
    assert queue.ready
    taken(queue)
    assert not queue.ready
    queue.add(2, NOW, Start("work"))
    assert queue.ready
    taken(queue)

    queue.add(3, NOW, Start("work"))
    assert not queue.ready
    queue.add(4, NOW, Start("work"))
    assert queue.ready


def test_an_answer_lets_what_has_gathered_go() -> None:
    """However little it is."""
    queue = UnansweredOperations()
    for task_id in (1, 2, 3):
        queue.add(task_id, NOW, Start("work"))
    taken(queue)
    queue.add(4, NOW, Start("work"))
    assert not queue.ready

    queue.answer(3)

    assert queue.ready


def test_a_full_batch_waits_for_none() -> None:
    """A worker with much to say is not held up by the way there and back: full batches follow one another."""
    queue = UnansweredOperations()
    for task_id in range(1, 3 * BATCH_OPERATIONS):
        queue.add(task_id, NOW, Start("work"))
    for _ in range(2):
        queue.take(BATCH_OPERATIONS, MANY)
    assert not queue.ready

    queue.add(MANY, NOW, Start("work"))

    assert queue.ready


def test_a_batch_is_full_of_bytes_too() -> None:
    """Large results and outputs fill a batch long before their number does, however they were joined."""
    queue = UnansweredOperations()
    for task_id in range(1, 10):
        queue.add(task_id, NOW, Start("work"))
    taken(queue)
    queue.add(1, NOW, Finish(TaskState.COMPLETED, result=b"1" * (BATCH_BYTES // 2)))
    for _ in range(3):
        queue.add(2, NOW, Output(b'["' + b"x" * (BATCH_BYTES // 7) + b'"]'))
    assert not queue.ready

    queue.add(3, NOW, Output(b'["' + b"x" * (BATCH_BYTES // 7) + b'"]'))
    assert queue.ready
    queue.take(1, MANY)
    assert not queue.ready

    queue.rewind()
    assert queue.ready


def test_what_is_on_its_way_has_a_bound() -> None:
    """A task manager that answers nothing is not sent more and more."""
    queue = UnansweredOperations()
    for task_id in range(1, MAX_IN_FLIGHT + 2 * BATCH_OPERATIONS):
        queue.add(task_id, NOW, Start("work"))

    sent = 0
    while queue.ready:
        sent += len(queue.take(BATCH_OPERATIONS, MANY))

    assert sent == MAX_IN_FLIGHT
