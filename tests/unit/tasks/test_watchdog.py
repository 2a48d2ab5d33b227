"""What the watchdog says of loops that are blocked, and of time that nobody had. Real loops, a clock of the test's."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from outlast.tasks.loops import LoopThread
from outlast.tasks.stack import Stack, stack_of
from outlast.tasks.watchdog import Watchdog

from .conftest import PATIENCE

BLOCKS = "user code blocks the loop that it runs on"
RUNS = "the loop runs again"
STOOD_STILL = "the whole process stood still"


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    """A loop thread that is closed afterwards."""
    thread = LoopThread("test-loop")
    yield thread
    thread.close(5.0)


class Blocker:
    """Code that blocks a loop, first at one line and then at another."""

    def __init__(self) -> None:
        self.entered, self.first_gate = threading.Event(), threading.Event()
        self.passed, self.second_gate = threading.Event(), threading.Event()

    def run(self) -> None:
        """Block."""
        self.entered.set()
        assert self.first_gate.wait(PATIENCE)
        self.passed.set()
        assert self.second_gate.wait(PATIENCE)

    def block(self, loop: LoopThread) -> None:
        """Have it run on a loop; return when the loop is blocked."""
        loop.post(self.run)
        assert self.entered.wait(PATIENCE)
        self._reach("first_gate", loop)

    def go_on(self, loop: LoopThread) -> None:
        """Let it go on to the other line; return when it is there."""
        self.first_gate.set()
        assert self.passed.wait(PATIENCE)
        self._reach("second_gate", loop)

    def end(self, loop: LoopThread) -> None:
        """Let it end; return when the loop has run everything that was posted before."""
        self.first_gate.set()
        self.second_gate.set()
        turn(loop)

    def line_of(self, gate: str) -> int:
        """Return the number of the line that waits for a gate."""
        lines, start = inspect.getsourcelines(Blocker.run)
        return start + next(index for index, line in enumerate(lines) if f"{gate}.wait" in line)

    def _reach(self, gate: str, loop: LoopThread) -> None:
        line = self.line_of(gate)
        while (stack := stack_of(loop.thread_id or 0)) and stack.culprit.line != line:
            pass  # it leaves the line before


def turn(loop: LoopThread) -> None:
    """Return when the loop has run everything that was posted before."""
    turned = threading.Event()
    loop.post(turned.set)
    assert turned.wait(PATIENCE)


class Watched:
    """A loop under a watchdog whose time passes when the test says so."""

    def __init__(self, loop: LoopThread, look_at: Callable[[int], Stack | None] = stack_of) -> None:
        self.now = 1_000.0
        self.loop = loop
        self.watchdog = Watchdog([loop], 1.0, clock=lambda: self.now, look_at=look_at)
        self.watchdog.look()
        self.pass_time(0.25)

    def pass_time(self, seconds: float, *, running: bool = False) -> None:
        """Let time pass, and the watchdog look as often as it does; ``running``: the loop answers meanwhile."""
        until = self.now + seconds
        while self.now < until:
            self.now += self.watchdog.interval
            self.watchdog.look()
            if running:
                turn(self.loop)

    def stand_still(self, seconds: float) -> None:
        """Let time pass in which nothing runs, then the watchdog."""
        self.now += self.watchdog.interval + seconds
        self.watchdog.look()

    def lines(self, capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
        """Stop watching and return all lines, once they are written."""
        self.watchdog.close()
        for thread in threading.enumerate():
            if thread.name.startswith("outlast-watchdog"):
                thread.join(PATIENCE)
        return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_loop_is_not_started_to_be_watched(loop: LoopThread, capfd: pytest.CaptureFixture[str]) -> None:
    """A loop that nobody uses costs no thread, and one that has ended is no trouble."""
    watched = Watched(loop)
    watched.pass_time(5)
    assert loop.thread_id is None
    turn(loop)
    watched.pass_time(0.5, running=True)
    loop.close(5.0)
    watched.pass_time(5)
    assert watched.lines(capfd) == []


def test_a_blockage_is_told_once_with_its_line(loop: LoopThread, capfd: pytest.CaptureFixture[str]) -> None:
    """After a second: one line that names loop, file, function and line; one more when it is over; then silence."""
    blocker = Blocker()
    turn(loop)
    watched = Watched(loop)
    turn(loop)
    watched.pass_time(0.25, running=True)
    blocker.block(loop)
    watched.pass_time(9)
    blocker.end(loop)
    watched.pass_time(5, running=True)
    line, end = watched.lines(capfd)
    assert (line["level"], line["message"], line["logger"]) == ("WARNING", BLOCKS, "outlast")
    assert line["loop"] == "test-loop"
    assert 1.0 <= line["seconds"] <= 1.5
    assert line["location"] == f"{__file__}:run:{blocker.line_of('first_gate')}"
    assert line["line"] == "assert self.first_gate.wait(PATIENCE)"
    assert f'File "{__file__}", line {blocker.line_of("first_gate")}, in run' in "".join(line["stackTrace"])
    assert (end["level"], end["message"], end["loop"]) == ("INFO", RUNS, "test-loop")
    assert end["seconds"] == pytest.approx(9.0, abs=0.5)


def test_a_blockage_that_lasts_is_told_ever_more_rarely(loop: LoopThread, capfd: pytest.CaptureFixture[str]) -> None:
    """A breakpoint in a handler fills no log: after 1, 10 and 60 s, then each 5 minutes, at the line it is at then."""
    blocker = Blocker()
    blocker.block(loop)
    watched = Watched(loop)
    watched.pass_time(5)
    blocker.go_on(loop)
    watched.pass_time(15 * 60 - 5)

    lines = watched.lines(capfd)
    assert [line["seconds"] for line in lines] == pytest.approx([1, 10, 60, 360, 660], abs=0.5)
    assert {line["location"].rpartition(":")[2] for line in lines[1:]} == {str(blocker.line_of("second_gate"))}
    blocker.end(loop)


def test_short_steps_are_no_blockage(loop: LoopThread, capfd: pytest.CaptureFixture[str]) -> None:
    """A loop that answers each time within the limit is never spoken of."""
    turn(loop)
    watched = Watched(loop)
    for _ in range(20):
        blocker = Blocker()
        blocker.block(loop)
        watched.pass_time(0.75)
        blocker.end(loop)
        watched.pass_time(0.25, running=True)
    assert watched.lines(capfd) == []


def test_no_loop_is_blamed_while_the_process_stood_still(loop: LoopThread, capfd: pytest.CaptureFixture[str]) -> None:
    """Time in which the watchdog got no turn is told as that, and counts for no loop, blocked though it is."""
    blocker = Blocker()
    blocker.block(loop)
    watched = Watched(loop)
    watched.stand_still(7.0)
    watched.pass_time(1.5)
    blocker.end(loop)

    line, blamed = watched.lines(capfd)
    assert (line["level"], line["message"]) == ("WARNING", STOOD_STILL)
    assert line["seconds"] == 7.0
    assert line["cpuSeconds"] < 5.0
    assert blamed["message"] == BLOCKS
    assert blamed["seconds"] < 2.0


def test_a_loop_that_only_has_not_got_its_turn_is_not_blamed(
    loop: LoopThread, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a busy machine a loop may answer late though nothing runs on it: there is nobody to name."""
    blocker = Blocker()
    blocker.block(loop)
    watched = Watched(loop, look_at=lambda _thread: Stack([]))
    watched.pass_time(5)
    blocker.end(loop)
    watched.pass_time(1)
    assert watched.lines(capfd) == []


def test_where_frames_cannot_be_seen_the_blockage_is_told(loop: LoopThread, capfd: pytest.CaptureFixture[str]) -> None:
    """A Python without ``sys._current_frames`` gets the line without a location."""
    blocker = Blocker()
    blocker.block(loop)
    watched = Watched(loop, look_at=lambda _thread: None)
    watched.pass_time(2)
    blocker.end(loop)
    [line] = watched.lines(capfd)
    assert line["message"] == BLOCKS
    assert not {"location", "line", "stackTrace"} & set(line)


def test_nothing_is_watched_with_a_limit_of_zero(loop: LoopThread, capfd: pytest.CaptureFixture[str]) -> None:
    """``OUTLAST_BLOCKED_AFTER=0`` switches it off: not even a timer runs, so no loop is needed here."""
    watchdog = Watchdog([loop], 0.0)
    watchdog.start()
    watchdog.close()
    assert capfd.readouterr().err == ""
