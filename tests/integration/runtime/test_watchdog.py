"""The watchdog in real time, on a loop where nothing of ours may block."""

from __future__ import annotations

import asyncio
import ctypes
import json
import sys
from collections.abc import AsyncIterator, Iterator
from queue import SimpleQueue
from typing import Any

import pytest

from outlast.context import Invocation, current_invocation
from outlast.tasks.loops import LoopThread
from outlast.tasks.watchdog import Watchdog

PATIENCE = 20.0
BLOCKED_AFTER = 0.2


class Lines:
    """What the watchdog has written."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self._lines: list[dict[str, Any]] = []

    async def wait(self, message: str) -> dict[str, Any]:
        """Return the first line with a message, as soon as it is there."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self._lines += [json.loads(line) for line in self._capfd.readouterr().err.splitlines()]
                for line in self._lines:
                    if line["message"] == message:
                        return line
                await asyncio.sleep(0.02)

    @property
    def messages(self) -> list[str]:
        """The messages that were waited for, and those before them."""
        return [str(line["message"]) for line in self._lines]


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    """The lines that are written."""
    return Lines(capfd)


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    """A loop of user code, running."""
    thread = LoopThread("test-loop")
    thread.post(lambda: None)
    yield thread
    thread.close(5.0)


@pytest.fixture
async def watchdog(loop: LoopThread) -> AsyncIterator[Watchdog]:
    """A watchdog on the test's loop, the services' loop of this process."""
    watchdog = Watchdog([loop], BLOCKED_AFTER)
    watchdog.start()
    yield watchdog
    watchdog.close()


@pytest.mark.usefixtures("watchdog")
async def test_a_coroutine_that_blocks_is_named_while_it_does(loop: LoopThread, lines: Lines) -> None:
    """Its line is in the log before it has ended, with the request that it runs for where Python tells."""
    gate: SimpleQueue[None] = SimpleQueue()  # what it blocks in is not what blockbuster guards

    async def handler() -> None:
        current_invocation.set(Invocation("request-1", "session-1"))
        await asyncio.sleep(0)
        gate.get(timeout=PATIENCE)  # blocks

    running = asyncio.run_coroutine_threadsafe(handler(), loop.loop)
    line = await lines.wait("user code blocks the loop that it runs on")
    assert not running.done()
    gate.put(None)
    await lines.wait("the loop runs again")
    await asyncio.wrap_future(running)

    assert line["location"].startswith(f"{__file__}:handler:")
    assert line["line"] == "gate.get(timeout=PATIENCE)  # blocks"
    if sys.version_info >= (3, 12):
        assert (line["requestId"], line["sessionId"]) == ("request-1", "session-1")


@pytest.mark.usefixtures("watchdog")
async def test_code_that_holds_the_interpreter_is_told_afterwards(loop: LoopThread, lines: Lines) -> None:
    """A call in C that keeps the interpreter's lock stops the process: told as that, and no loop is blamed for it."""
    await lines_are_quiet(loop)
    loop.post(ctypes.PyDLL(None).usleep, 900_000)
    line = await lines.wait("the whole process stood still")
    assert 0.5 < line["seconds"] < 5
    await asyncio.sleep(2 * BLOCKED_AFTER)

    assert lines.messages == ["the whole process stood still"]


async def lines_are_quiet(loop: LoopThread) -> None:
    """Return when the loop has answered everything so far."""
    turned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    loop.post(turned.get_loop().call_soon_threadsafe, turned.set_result, None)
    await turned
