"""What the ping board says, and since when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from outlast.core.operation import Finish, Start
from outlast.core.state import TaskState
from outlast.ping import PingBoard, PingStatus
from outlast.tasks.ledger import Ledger
from outlast.tasks.loops import LoopThread

from ..clock import Clock

BUSY, HEALTHY = PingStatus.HEALTHY_BUSY, PingStatus.HEALTHY


@pytest.fixture
def clock() -> Clock:
    """A clock at 1000.9."""
    return Clock(1000.9)


@pytest.fixture
def ledger() -> Ledger:
    """An empty ledger."""
    return Ledger()


@pytest.fixture
def agent_loop() -> Iterator[LoopThread]:
    """A loop for async handlers."""
    loop = LoopThread("outlast-agent")
    yield loop
    loop.close(1.0)


@pytest.fixture
def board(ledger: Ledger, agent_loop: LoopThread, clock: Clock) -> PingBoard:
    """A board for the three of them."""
    return PingBoard(ledger, agent_loop, time_limit=5.0, clock=clock)


def test_the_time_is_that_of_the_change_and_not_of_the_question(board: PingBoard, ledger: Ledger, clock: Clock) -> None:
    """A task stamps the time when it starts and when the last one ends, whether or not anybody asks (promise 7)."""
    times = [board.time_of_last_update]
    clock.now = 1010.0
    first = ledger.start(Start("work"))
    clock.now = 1020.0
    second = ledger.start(Start("work"))
    times.append(board.time_of_last_update)
    clock.now = 1030.0
    ledger.finish(first.task_id, Finish(TaskState.COMPLETED))
    times.append(board.time_of_last_update)
    ledger.finish(second.task_id, Finish(TaskState.COMPLETED))
    clock.now = 1040.0
    board.get_current()
    times.append(board.time_of_last_update)

    assert times == [1000, 1010, 1010, 1030]


def test_forcing_stamps_only_a_change(board: PingBoard, clock: Clock) -> None:
    """A forced status stamps the time when it differs from what was said, and so does its end."""
    clock.now = 1010.0
    board.force(HEALTHY)
    same = board.time_of_last_update
    clock.now = 1020.0
    board.force("HealthyBusy")
    forced = board.time_of_last_update
    clock.now = 1030.0
    board.force(None)

    assert (same, forced, board.time_of_last_update) == (1000, 1020, 1030)


def test_a_custom_status_stamps_when_it_is_asked(board: PingBoard, ledger: Ledger, clock: Clock) -> None:
    """With a custom handler the ledger decides nothing; what the handler says is compared at each question."""
    said = HEALTHY
    board.custom = lambda: said
    clock.now = 1010.0
    ledger.start(Start("work"))
    unasked = board.time_of_last_update
    board.get_current()
    same = board.time_of_last_update
    said = BUSY
    clock.now = 1020.0

    assert (unasked, same) == (1000, 1000)
    assert (board.get_current(), board.time_of_last_update) == (BUSY, 1020)


def test_a_status_that_is_none_cannot_be_forced(board: PingBoard) -> None:
    """Only the contract's two statuses can be forced."""
    with pytest.raises(ValueError, match="Unhealthy"):
        board.force("Unhealthy")


def test_an_async_handler_can_be_asked_from_any_thread_but_its_own(board: PingBoard, agent_loop: LoopThread) -> None:
    """get_current waits for an async handler; on the agent's loop, where it cannot, the last status answers."""

    async def custom() -> PingStatus:
        return BUSY

    async def ask() -> PingStatus:
        return board.get_current()

    board.custom = custom
    before = asyncio.run_coroutine_threadsafe(ask(), agent_loop.loop).result(5)
    asked = board.get_current()
    after = asyncio.run_coroutine_threadsafe(ask(), agent_loop.loop).result(5)

    assert (before, asked, after) == (HEALTHY, BUSY, BUSY)


def test_the_statuses_are_the_originals() -> None:
    """A status is its value as a string, and its str() is the original's."""
    assert (BUSY, str(BUSY), f"{BUSY.value}") == ("HealthyBusy", "PingStatus.HEALTHY_BUSY", "HealthyBusy")
