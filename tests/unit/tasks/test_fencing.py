"""What one attempt says is never taken for what another one says, though both run in the same worker (promise 5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from outlast.core.errors import LeaseLost
from outlast.core.operation import Action, Finish, Operation, Output, Report
from outlast.core.state import TaskState
from outlast.core.task import Progress, Task
from outlast.tasks.ledger import Ledger
from outlast.tasks.orders import Orders

MANY = 1 << 30
DONE = Finish(TaskState.COMPLETED)
FIRST = Task(7, "work", agent="agent", state=TaskState.WORKING, attempt=1, max_attempts=3, epoch=5)
SECOND = replace(FIRST, attempt=2, epoch=6)
HALF = Report(Progress(0.5, "half way", datetime(2026, 11, 21, tzinfo=UTC)))


@pytest.fixture
def ledger() -> Ledger:
    """A ledger with somebody listening."""
    ledger = Ledger()
    ledger.attach(lambda: None)
    return ledger


def said(ledger: Ledger) -> list[tuple[int, Action]]:
    """Take everything; return who says what."""
    return [(operation.attempt, operation.action) for operation in ledger.take(MANY, MANY)]


def test_every_operation_says_of_which_attempt_it_is(ledger: Ledger) -> None:
    """Output and progress that nobody has taken yet are not joined with those of the next attempt."""
    for task in (FIRST, SECOND):
        attempt = ledger.adopt(task)
        ledger.record(attempt, Output(b"[1]"))
        ledger.record(attempt, HALF)
        ledger.finish(attempt, DONE)

    expected = [(number, action) for number in (1, 2) for action in (Output(b"[1]"), HALF, DONE)]
    assert said(ledger) == expected


def test_an_attempt_that_is_let_go_leaves_nothing_to_the_next(ledger: Ledger) -> None:
    """What it has said goes out under its own number."""
    first = ledger.adopt(FIRST)
    ledger.record(first, Output(b"[1]"))
    ledger.drop(first, DONE)
    ledger.record(ledger.adopt(SECOND), Output(b"[2]"))

    assert said(ledger) == [(1, Output(b"[1]")), (2, Output(b"[2]"))]


def test_a_refusal_is_of_its_own_attempt(ledger: Ledger) -> None:
    """What an older attempt said may be refused after the newer one has begun, which goes on."""
    orders = Orders(ledger, lambda _: None)
    second = ledger.adopt(SECOND)
    late = Operation(3, 7, datetime(2026, 11, 21, tzinfo=UTC), DONE, attempt=1)

    orders.refused(late, LeaseLost(7, 6, 6, attempt=1))
    assert ledger.get(7) is second

    orders.refused(replace(late, attempt=2), LeaseLost(7, 6, 7))
    assert ledger.get(7) is None
