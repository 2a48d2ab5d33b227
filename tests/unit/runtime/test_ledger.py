"""The ledger: live tasks, unanswered operations, and what it says to ping and stream."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import weakref

import pytest

from outlast.context import Invocation, current_invocation
from outlast.core.errors import TaskManagerUnavailable
from outlast.core.operation import Finish, Output, Report, Start
from outlast.core.state import TaskState
from outlast.core.task import Progress
from outlast.tasks.ledger import Ledger

DONE = Finish(TaskState.COMPLETED)
MANY = 1 << 30


def attached(**limits: int) -> Ledger:
    """Return a ledger with somebody listening."""
    ledger = Ledger(**limits)
    ledger.attach(lambda: None)
    return ledger


def sequences(ledger: Ledger) -> list[int]:
    """Take everything; return the sequences."""
    return [operation.sequence for operation in ledger.take(MANY, MANY)]


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


def test_output_is_bounded_and_progress_gives_way() -> None:
    """With the manager out of reach memory stays bounded: emit raises and progress is left out, until an answer."""
    ledger = attached(max_unanswered=1)
    task = ledger.start(Start("work"))
    ledger.record(task, Report(Progress(0.5, "", task.started_at)))
    chunk = Output(b"[" + b"1" * (1 << 20) + b"]")
    for _ in range(15):
        ledger.record(task, chunk)

    with pytest.raises(TaskManagerUnavailable, match="output wait"):
        ledger.record(task, chunk)
    assert sequences(ledger) == list(range(1, 17))

    ledger.answer(16)
    ledger.record(task, chunk)
    assert sequences(ledger) == [17]


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
