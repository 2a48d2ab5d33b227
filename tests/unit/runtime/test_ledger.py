"""The ledger: live tasks, unanswered operations, and what it says to ping and stream."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from outlast.context import Invocation, current_invocation
from outlast.core.errors import TaskManagerUnavailable
from outlast.core.operation import Action, Finish, Output, Report, Start, Submit
from outlast.core.state import TaskState
from outlast.core.task import Progress, Task
from outlast.tasks.ledger import Ledger
from outlast.tasks.outgoing import MAX_UNANSWERED

DONE = Finish(TaskState.COMPLETED)
MANY = 1 << 30


def attached(max_unanswered: int = MAX_UNANSWERED) -> Ledger:
    """Return a ledger with somebody listening."""
    ledger = Ledger(max_unanswered=max_unanswered)
    ledger.attach(lambda: None)
    return ledger


def sequences(ledger: Ledger) -> list[int]:
    """Take everything; return the sequences."""
    return [operation.sequence for operation in ledger.take(MANY, MANY)]


def actions(ledger: Ledger) -> list[Action]:
    """Take everything; return what is to be done."""
    return [operation.action for operation in ledger.take(MANY, MANY)]


def test_nothing_is_queued_without_a_task_manager() -> None:
    """Without a running app tasks are tracked and nothing is recorded."""
    ledger = Ledger()

    task = ledger.start(Start("work"))

    assert ledger.busy
    assert not ledger.recorded
    assert ledger.finish(task.task_id, DONE) is task
    assert ledger.watermark == 0


def test_attach_announces_tasks_that_live_already() -> None:
    """A task started before the app runs is recorded once it does."""
    ledger = Ledger()
    task = ledger.start(Start("early"))

    ledger.attach(lambda: None)

    assert [task.task_id] == [operation.task_id for operation in ledger.take(MANY, MANY)]


def test_operations_stay_until_they_are_answered() -> None:
    """A broken stream loses nothing: a rewind offers all that has no answer, and nothing that has."""
    ledger = attached()
    for _ in range(3):
        ledger.finish(ledger.start(Start("work")).task_id, DONE)
    assert sequences(ledger) == [1, 2, 3, 4, 5, 6]
    assert sequences(ledger) == []

    ledger.answer(2)
    ledger.rewind()

    assert sequences(ledger) == [3, 4, 5, 6]
    assert ledger.answered == 2
    assert ledger.watermark == 6


def test_take_is_bounded_by_bytes_but_always_moves_on() -> None:
    """A batch stays near its bytes, and an operation larger than that goes alone."""
    ledger = attached()
    ledger.start(Start("large", metadata=b"x" * 10_000))
    ledger.start(Start("small"))

    assert [operation.sequence for operation in ledger.take(10, 100)] == [1]
    assert [operation.sequence for operation in ledger.take(10, 100)] == [2]


def test_tasks_may_end_while_those_that_live_already_are_announced() -> None:
    """By a finaliser, that is, which the garbage collector runs at any time; none is announced that has ended."""
    ledger = Ledger()
    first, second, third = (ledger.start(Start(name)) for name in "abc")

    def finalise() -> None:
        ledger.finish(second, DONE)

    ledger.attach(finalise)

    assert [bool(task.start_sequence) for task in (first, second, third)] == [True, False, True]
    assert ledger.live() == [first, third]


def test_an_end_is_kept_whatever_becomes_of_what_is_said_of_it() -> None:
    """A log handler of the program's may call sys.exit() while it is told."""
    ledger = attached()
    task = ledger.start(Start("work"))
    told = list[TaskState]()
    task.when_ended(lambda: told.append(task.state))
    ledger.answer(ledger.watermark)

    with pytest.raises(SystemExit):
        ledger.finish(task, DONE, sys.exit)

    assert told == [TaskState.COMPLETED]
    assert [operation.action for operation in ledger.take(10, MANY)] == [DONE]
    ledger.answer(ledger.watermark)
    assert ledger.settled


def test_starts_are_bounded_and_ends_are_always_kept() -> None:
    """With the manager out of reach a start is refused beyond the bound; no end ever is."""
    ledger = attached(max_unanswered=2)
    first, second = ledger.start(Start("a")), ledger.start(Start("b"))

    with pytest.raises(TaskManagerUnavailable, match="c was not started"):
        ledger.start(Start("c"))

    assert ledger.finish(first.task_id, DONE)
    assert ledger.finish(second.task_id, DONE)
    assert sequences(ledger) == [1, 2, 3, 4]


def test_the_first_end_wins() -> None:
    """A task ends once."""
    ledger = attached()
    task = ledger.start(Start("work"))

    ledger.finish(task.task_id, DONE)

    assert ledger.finish(task.task_id, Finish(TaskState.FAILED)) is None
    assert task.finish is DONE


def test_what_is_said_of_an_end_stands_between_the_answer_to_the_start_and_the_end() -> None:
    """An end with something to say waits for the answer to its start; it is said once, and then the end is sent."""
    ledger, said = attached(), list[str]()
    task = ledger.start(Start("short"))
    ledger.finish(task.task_id, DONE, lambda: said.append("ended"))

    assert not ledger.busy
    assert said == []
    assert sequences(ledger) == [1]
    assert ledger.knows(task.task_id)

    ledger.answer(1)
    assert said == ["ended"]
    assert not ledger.settled
    assert [operation.action for operation in ledger.take(MANY, MANY)] == [DONE]

    ledger.answer(2)
    assert ledger.settled
    assert not ledger.knows(task.task_id)


def test_nothing_is_settled_while_an_end_is_being_said() -> None:
    """Whoever waits for the last operation waits for the end that comes after its line too: it would be lost."""
    ledger, settled = attached(), list[bool]()
    task = ledger.start(Start("short"))
    ledger.answer(1)
    assert ledger.settled

    ledger.finish(task.task_id, DONE, lambda: settled.append(ledger.settled))
    assert settled == [False]
    assert not ledger.settled


def test_an_end_after_the_answer_is_said_and_sent_at_once() -> None:
    """Nothing waits where the start was answered before, or where nobody records."""
    for ledger in (attached(), Ledger()):
        said = list[str]()
        task = ledger.start(Start("long"))
        ledger.answer(1)

        ledger.finish(task.task_id, DONE, lambda said=said: said.append("ended"))  # type: ignore[misc]

        assert said == ["ended"]


def test_nothing_is_said_of_a_second_end() -> None:
    """The first end wins, and only it is told."""
    ledger, said = attached(), list[str]()
    task = ledger.start(Start("work"))
    ledger.finish(task.task_id, Finish(TaskState.FAILED))
    ledger.finish(task.task_id, DONE, lambda: said.append("ended"))

    ledger.answer(2)

    assert said == []


def test_progress_that_nobody_has_taken_is_replaced() -> None:
    """Progress is last-wins before it becomes an event, so a tight loop of reports is one operation."""
    ledger = attached()
    task = ledger.start(Start("work"))
    for step in range(10_000):
        ledger.record(task, Report(Progress(step / 10_000, "", task.started_at)))

    start, report = ledger.take(MANY, MANY)

    assert isinstance(start.action, Start)
    assert isinstance(report.action, Report)
    assert report.action.progress.fraction == 0.9999


def test_output_that_nobody_has_taken_is_joined() -> None:
    """Output is joined, never dropped, and what was taken is left as it is."""
    ledger = attached()
    task = ledger.start(Start("work"))
    for step in range(3):
        ledger.record(task, Output(json.dumps([step]).encode()))
    taken = ledger.take(MANY, MANY)[-1].action
    ledger.record(task, Output(b"[3]"))

    later = ledger.take(MANY, MANY)[-1].action

    assert isinstance(taken, Output)
    assert isinstance(later, Output)
    assert (json.loads(taken.chunks), json.loads(later.chunks)) == ([0, 1, 2], [3])


def test_progress_gives_way_and_the_newest_comes_later() -> None:
    """With the manager out of reach reports are held back; once there is room the newest one is sent."""
    ledger = attached(max_unanswered=1)
    task = ledger.start(Start("work"))
    for step in range(5):
        ledger.record(task, Report(Progress(step / 5, "", task.started_at)))
    assert sequences(ledger) == [1]
    assert ledger.send_held_reports() is not None
    assert sequences(ledger) == []

    ledger.answer(1)
    ledger.send_held_reports()

    (report,) = ledger.take(MANY, MANY)
    assert isinstance(report.action, Report)
    assert report.action.progress.fraction == 0.8


def test_a_task_that_waits_is_recorded_and_begins_later() -> None:
    """What has no room yet is a Submit, and a Start once it begins, under one id."""
    ledger = attached()

    task = ledger.submit(Start("work"), "WORKER_BUSY")
    assert (task.state, task.start_sequence, ledger.busy) == (TaskState.SUBMITTED, 1, True)
    assert ledger.begin(task)

    assert task.state is TaskState.WORKING
    assert [operation.action for operation in ledger.take(MANY, MANY)] == [
        Submit(task.start, "WORKER_BUSY"),
        task.start,
    ]


def test_a_task_that_ended_while_it_waited_does_not_begin() -> None:
    """Canceled or given back, its code must not run."""
    ledger = attached()
    task = ledger.submit(Start("work"), "WORKER_BUSY")
    ledger.finish(task, Finish(TaskState.CANCELED))

    assert not ledger.begin(task)
    assert len(ledger.take(MANY, MANY)) == 2


def test_an_adopted_attempt_is_on_record_already() -> None:
    """The task manager has begun it: nothing is queued but what comes after, and it counts as run here."""
    ledger = attached()
    given = Task(
        7,
        "work",
        agent="agent",
        state=TaskState.WORKING,
        attempt=2,
        max_attempts=3,
        epoch=5,
        started_at=datetime.now(UTC),
    )
    assert not ledger.ran(7, 2)

    tracked = ledger.adopt(given)
    assert (tracked.attempt, tracked.epoch, tracked.start.max_attempts) == (2, 5, 3)
    assert (ledger.ran(7, 1), ledger.ran(7, 2), ledger.ran(7, 3)) == (True, True, False)
    assert sequences(ledger) == []

    ledger.finish(tracked, DONE)
    assert sequences(ledger) == [1]
    assert ledger.ran(7, 2)


@pytest.mark.parametrize(("way", "counted_from"), [(0.2, "here"), (3600, "the record"), (-3600, "the record")])
def test_an_adopted_task_ends_by_the_clock_of_its_worker(way: float, counted_from: str) -> None:
    """The moment that it was on its way is part of it, as spans say; the difference of two clocks is not."""
    recorded = datetime.now(UTC) - timedelta(seconds=way)
    given = Task(7, "work", agent="agent", state=TaskState.WORKING, attempt=1, epoch=1, started_at=recorded)

    tracked = attached().adopt(given)

    assert (tracked.started_at == recorded) == (counted_from == "the record")
    assert tracked.started_at >= recorded


def test_an_older_attempt_cannot_end_a_newer_one() -> None:
    """Code that goes on after its attempt was taken from it ends nothing but itself."""
    ledger = attached()
    given = Task(7, "work", agent="agent", state=TaskState.WORKING, attempt=1, max_attempts=2, epoch=1)
    older = ledger.adopt(given)
    ledger.finish(older, Finish(TaskState.FAILED))
    newer = ledger.adopt(replace(given, attempt=2))

    assert ledger.finish(older, DONE) is None
    assert ledger.drop(older, DONE) is None
    assert ledger.get(7) is newer


def test_a_dropped_task_is_gone_without_an_operation() -> None:
    """It was ended elsewhere: it lives no more, says how it ended, and tells who wanted to know."""
    ledger, told = attached(), list[str]()
    task = ledger.start(Start("work"))
    ledger.take(MANY, MANY)
    task.when_ended(lambda: told.append("ended"))

    assert ledger.drop(task.task_id, Finish(TaskState.CANCELED)) is task

    assert (task.state, told, ledger.busy) == (TaskState.CANCELED, ["ended"], False)
    assert ledger.drop(task.task_id, DONE) is None
    assert sequences(ledger) == []


def test_what_the_task_manager_may_know_of_was_sent_to_it() -> None:
    """A task whose start was never taken can run nowhere else."""
    ledger = attached()
    sent = ledger.start(Start("sent"))
    ledger.take(MANY, MANY)
    ledger.rewind()
    ledger.start(Start("unsent"))

    assert ledger.known_elsewhere() == [sent]


def test_attaching_again_records_only_what_was_not() -> None:
    """What was recorded before must not be made a second time."""
    ledger = Ledger()
    ledger.start(Start("early"))
    ledger.attach(lambda: None)
    ledger.detach()
    ledger.start(Start("between"))
    ledger.draining = True

    ledger.attach(lambda: None)

    assert [action.task_type for action in actions(ledger) if isinstance(action, Start)] == ["early", "between"]
    assert not ledger.draining


FORK = """
import os
from outlast.core.operation import Start
from outlast.tasks.ledger import Ledger

ledger = Ledger()
ledger.attach(lambda: None)
task = ledger.start(Start("work"))
if not (child := os.fork()):
    fresh = ledger.start(Start("child"))
    assert not ledger.recorded
    assert ledger.live() == [fresh]
    assert fresh.task_id != task.task_id
    assert ledger.settled
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert ledger.live() == [task]
assert not ledger.settled
"""


def test_a_forked_child_has_nothing_of_its_parents_tasks() -> None:
    """In the child no task lives, nothing is sent, and ids come from another number; the parent goes on."""
    # In a process of its own: one with threads had better not fork.
    subprocess.run([sys.executable, "-c", FORK], check=True)


def test_a_ledger_is_collected() -> None:
    """What is told of forks keeps no ledger alive."""
    ledger = weakref.ref(Ledger())

    gc.collect()

    assert ledger() is None


def test_busy_is_told_when_the_first_starts_and_the_last_ends() -> None:
    """Ping hears of the flips, not of every task."""
    ledger, told = attached(), list[bool]()
    ledger.on_busy(told.append)

    first, second = ledger.start(Start("a")), ledger.start(Start("b"))
    ledger.finish(first.task_id, DONE)
    ledger.finish(second.task_id, DONE)

    assert told == [True, False]


def test_a_task_knows_the_invocation_that_started_it() -> None:
    """The invocation comes from the context of the code that starts the task, and learns the id."""
    ledger, invocation = attached(), Invocation("request", "session")
    token = current_invocation.set(invocation)
    try:
        task = ledger.start(Start("work"))
    finally:
        current_invocation.reset(token)

    assert task.invocation is invocation
    assert [task.task_id] == invocation.task_ids


def test_ids_and_sequences_are_unique_across_threads() -> None:
    """1,000 starts from each of 8 threads: every id differs and no sequence is missing."""
    ledger, ids, gate = attached(max_unanswered=MANY), list[int](), threading.Barrier(8)

    def start_many() -> None:
        gate.wait()
        ids.extend(ledger.start(Start("work")).task_id for _ in range(1_000))

    threads = [threading.Thread(target=start_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(ids)) == 8_000
    assert list(range(1, 8_001)) == sequences(ledger)


def test_who_was_told_of_tasks_may_hear_no_more() -> None:
    """What ``on_busy`` returns undoes it: a start of the services after another leaves nothing behind in the ledger."""
    ledger = Ledger()
    told: list[bool] = []
    undo = ledger.on_busy(told.append)

    first = ledger.start(Start("a"))
    undo()
    ledger.finish(first.task_id, Finish(TaskState.COMPLETED))

    assert told == [True]
