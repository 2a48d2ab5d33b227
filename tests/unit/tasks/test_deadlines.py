"""Deadlines: attempts that take too long are ended, and manual tasks that stay open are told of."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from outlast.core.operation import Finish, Start
from outlast.core.state import StateReason, TaskState
from outlast.tasks.deadlines import Deadlines
from outlast.tasks.ledger import Ledger
from outlast.telemetry import lines

from ..clock import Clock

DONE = Finish(TaskState.COMPLETED)


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    """A ledger by that clock."""
    return Ledger(monotonic=clock)


@pytest.fixture
async def deadlines(ledger: Ledger, clock: Clock) -> Any:
    """Deadlines by that clock."""
    deadlines = Deadlines(ledger, monotonic=clock)
    yield deadlines
    deadlines.close()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The level and message of every line that is written."""
    written: list[tuple[str, str]] = []
    monkeypatch.setattr(lines, "write", lambda level, message, **_: written.append((level, message)))
    return written


async def test_an_attempt_ends_at_its_deadline(deadlines: Deadlines, ledger: Ledger, clock: Clock) -> None:
    """It FAILED with DEADLINE, code 4 and a message that names the timeout, and its code is told to stop."""
    told: list[str] = []
    task = ledger.start(Start("work", timeout=timedelta(seconds=90)), on_cancel=lambda: told.append("stop"))
    clock.now += 89.9
    deadlines.look()
    assert task.finish is None

    clock.now += 0.1
    deadlines.look()

    assert task.finish is not None
    assert task.finish.error is not None
    assert (task.finish.state, task.finish.state_reason) == (TaskState.FAILED, StateReason.DEADLINE)
    assert (task.finish.error.code, task.finish.error.message) == (4, "did not end within its timeout of 90 s")
    assert told == ["stop"]


async def test_what_ends_in_time_is_left_alone(deadlines: Deadlines, ledger: Ledger, clock: Clock) -> None:
    """The first end wins."""
    told: list[str] = []
    task = ledger.start(Start("work", timeout=timedelta(seconds=1)), on_cancel=lambda: told.append("stop"))
    ledger.finish(task, DONE)

    clock.now += 2
    deadlines.look()

    assert task.finish is DONE
    assert told == []


async def test_the_time_in_line_does_not_count(deadlines: Deadlines, ledger: Ledger, clock: Clock) -> None:
    """A task that waits for room has its timeout from when it begins."""
    task = ledger.submit(Start("work", timeout=timedelta(seconds=10)), "WORKER_BUSY")
    clock.now += 100
    deadlines.look()
    assert task.finish is None

    ledger.begin(task)
    clock.now += 9.9
    deadlines.look()
    assert task.finish is None
    clock.now += 0.1
    deadlines.look()
    assert task.finish is not None


async def test_tasks_that_live_already_have_their_deadlines_kept(ledger: Ledger, clock: Clock) -> None:
    """A task may start before the services do."""
    task = ledger.start(Start("work", timeout=timedelta(seconds=1)))
    deadlines = Deadlines(ledger, monotonic=clock)

    clock.now += 1
    deadlines.look()
    deadlines.close()

    assert task.finish is not None


async def test_the_timer_comes_by_itself_from_any_thread() -> None:
    """A task that starts on another thread, sooner due than the one before, is ended without anybody looking."""
    ledger, ended = Ledger(), threading.Event()
    deadlines = Deadlines(ledger)
    ledger.start(Start("later", timeout=timedelta(hours=1)))

    def start() -> None:
        ledger.start(Start("sooner", timeout=timedelta(milliseconds=1)), on_cancel=ended.set)

    thread = threading.Thread(target=start)
    thread.start()
    assert await asyncio.to_thread(ended.wait, 20.0)
    thread.join()
    deadlines.close()

    assert [task.task_type for task in ledger.live()] == ["later"]


async def test_a_manual_task_that_stays_open_is_told_of_once(
    deadlines: Deadlines, ledger: Ledger, clock: Clock, written: list[tuple[str, str]]
) -> None:
    """After 8 h a WARNING names it; it goes on."""
    task = ledger.start(Start("batch", manual=True))
    ledger.start(Start("function"))
    clock.now += 8 * 3600 - 1
    deadlines.look()
    assert written == []

    clock.now += 1
    deadlines.look()
    clock.now += 8 * 3600
    deadlines.look()

    assert written == [("WARNING", f"Async task is still open: batch (ID: {task.task_id}, 8.0 h)")]
    assert task.finish is None


async def test_a_manual_task_has_its_timeout_too(
    deadlines: Deadlines, ledger: Ledger, clock: Clock, written: list[tuple[str, str]]
) -> None:
    """With nobody to complete it in time it FAILED, and there is nothing more to warn of."""
    task = ledger.start(Start("batch", manual=True, timeout=timedelta(minutes=1)))

    clock.now += 60
    deadlines.look()
    clock.now += 8 * 3600
    deadlines.look()

    assert task.finish is not None
    assert task.finish.state_reason == StateReason.DEADLINE
    assert written == []


async def test_many_tasks_that_have_ended_leave_nothing_behind(deadlines: Deadlines, ledger: Ledger) -> None:
    """Appointments of tasks long gone do not pile up until their time."""
    for _ in range(20_000):
        ledger.finish(ledger.start(Start("batch", manual=True)), DONE)

    assert len(deadlines._appointments) < 2_000
