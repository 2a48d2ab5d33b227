"""Progress by the thousand: the newest wins, and a loop that reports without end harms nobody."""

from __future__ import annotations

from outlast.core.operation import Finish, Operation, Report, Start
from outlast.core.state import TaskState
from outlast.core.task import Progress
from outlast.tasks.ledger import Ledger
from outlast.tasks.report_rate import BURST, PER_SECOND
from outlast.tasks.tracked import TrackedTask

from ..clock import Clock

MANY = 1 << 30


def say(ledger: Ledger, task: TrackedTask, fraction: float) -> None:
    """Report progress."""
    ledger.record(task, Report(Progress(fraction, "", task.started_at)))


def sent(ledger: Ledger) -> list[Operation]:
    """Do as the stream does at once when it is woken: take what there is and have it answered."""
    operations = ledger.take(MANY, MANY)
    if operations:
        ledger.answer(operations[-1].sequence)
    return operations


def fractions(operations: list[Operation]) -> list[float | None]:
    """Return what was reported."""
    return [operation.action.progress.fraction for operation in operations if isinstance(operation.action, Report)]


def test_a_storm_of_reports_becomes_a_few_events() -> None:
    """10,000 reports in a second, each taken at once: twenty at first, then twenty a second, and the last one."""
    clock = Clock()
    ledger = Ledger(monotonic=clock)
    ledger.attach(lambda: None)
    task = ledger.start(Start("work"))
    sent(ledger)

    reported: list[float | None] = []
    for step in range(10_000):
        clock.now += 0.0001
        say(ledger, task, step / 10_000)
        reported += fractions(sent(ledger))
    ledger.finish(task, Finish(TaskState.COMPLETED))
    last = sent(ledger)

    assert BURST + PER_SECOND - 2 <= len(reported) <= BURST + PER_SECOND + 2
    assert [type(operation.action) for operation in last] == [Report, Finish]
    assert fractions(last) == [0.9999]


def test_a_report_that_is_held_back_is_sent_when_its_turn_comes() -> None:
    """Nobody has to report again for the newest to arrive, and the stream is woken for the first that waits."""
    clock = Clock()
    woken: list[None] = []
    ledger = Ledger(monotonic=clock)
    ledger.attach(lambda: woken.append(None))
    task = ledger.start(Start("work"))
    for step in range(BURST):
        say(ledger, task, step / 100)
        sent(ledger)
    before = len(woken)

    say(ledger, task, 0.5)
    say(ledger, task, 0.6)
    assert sent(ledger) == []
    assert len(woken) == before + 1
    seconds = ledger.send_held_reports()
    assert seconds is not None
    assert sent(ledger) == []

    clock.now += seconds
    assert ledger.send_held_reports() is None
    assert fractions(sent(ledger)) == [0.6]


def test_a_slow_reporter_is_never_held_back() -> None:
    """At fewer than the rate every report is an event."""
    clock = Clock()
    ledger = Ledger(monotonic=clock)
    ledger.attach(lambda: None)
    task = ledger.start(Start("work"))
    sent(ledger)

    for step in range(100):
        clock.now += 1.01 / PER_SECOND
        say(ledger, task, step / 100)
        assert fractions(sent(ledger)) == [step / 100]


def test_one_task_does_not_slow_down_another() -> None:
    """Each has a bucket of its own."""
    ledger = Ledger(monotonic=Clock())
    ledger.attach(lambda: None)
    loud, quiet = ledger.start(Start("loud")), ledger.start(Start("quiet"))
    for _ in range(1_000):
        say(ledger, loud, 0.1)
        sent(ledger)

    say(ledger, quiet, 0.2)

    assert fractions(sent(ledger)) == [0.2]


def test_a_task_may_end_while_held_reports_are_sent() -> None:
    """By a finaliser, that is, which the garbage collector runs at any time: the others' reports are sent."""
    clock = Clock()
    ledger, tasks = Ledger(monotonic=clock), list[TrackedTask]()
    ledger.attach(lambda: None)
    tasks += [ledger.start(Start("work")) for _ in range(3)]
    for task in tasks:
        for step in range(BURST + 1):
            say(ledger, task, step / 100)
            sent(ledger)
    clock.now += 1

    def finalise() -> None:
        ledger.finish(tasks[1], Finish(TaskState.COMPLETED))

    ledger.attach(finalise)
    ledger.send_held_reports()

    assert [each.task_id for each in sent(ledger) if isinstance(each.action, Report)] == [
        task.task_id for task in tasks
    ]
