"""Handlers that block, and who is kept waiting: nobody (promise 9)."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

from outlast.headers import REQUEST_ID

from .agent_process import PROGRAMS, Agent
from .conftest import Launcher

#: Handlers that block at once, and seconds for which /ping is watched meanwhile.
HANDLERS = 40
WATCHED = 3.0
#: Seconds between two pings, and what /ping may take at its 99th percentile.
EACH = 0.02
LIMIT = 0.05


class Pings:
    """How long /ping takes, asked again and again over one connection."""

    def __init__(self, agent: Agent) -> None:
        self._connection = HTTPConnection(urlsplit(agent.address).netloc, timeout=30)
        self.seconds: list[float] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Ask on a thread for as long as the block lasts."""
        enough = threading.Event()
        thread = threading.Thread(target=self._ask, args=(enough,))
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()
            self._connection.close()

    @property
    def p99(self) -> float:
        """The 99th percentile, in seconds."""
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)]

    def _ask(self, enough: threading.Event) -> None:
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not enough.wait(EACH):
            began = time.monotonic()
            self._connection.request("GET", "/ping")
            self._connection.getresponse().read()
            self.seconds.append(time.monotonic() - began)


def fast_enough(agent: Agent) -> float:
    """Return the limit for this machine: one on which an idle agent is slow proves nothing."""
    pings = Pings(agent)
    with pings.going_on():
        threading.Event().wait(WATCHED / 2)
    return max(LIMIT, 3 * pings.p99)


def invoke_for(agent: Agent, seconds: float) -> list[float]:
    """Call the handler again and again, everything else being blocked still; return what it took, the longest last."""
    waits, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        assert agent.invoke({}).json == "blocked"
        waits.append(time.monotonic() - began)
        threading.Event().wait(0.1)
    return sorted(waits)


def measure(agent: Agent, limit: float) -> None:
    """Prove that /ping and synchronous invocations are as fast as they should be while others block."""
    pings = Pings(agent)
    with pings.going_on():
        waits = invoke_for(agent, WATCHED)
    print(f"/ping p99 {pings.p99 * 1e3:.1f} ms of {len(pings.seconds)}, invocations at most {waits[-1] * 1e3:.1f} ms")
    assert pings.p99 < limit
    assert waits[-2] < 4 * limit


def test_handlers_that_block_hold_up_nobody_else(launch: Launcher) -> None:
    """40 blocked threads and a blocked loop: /ping and synchronous invocations answer at once, the log has the line."""
    agent = launch.ready("blocking.py")
    limit = fast_enough(agent)
    with ThreadPoolExecutor(HANDLERS + 1) as callers:
        blocked = [callers.submit(agent.invoke, {"block": "thread"}) for _ in range(HANDLERS)]
        blocked.append(callers.submit(agent.invoke, {"block": "loop"}, {REQUEST_ID: "the-culprit"}))
        agent.invoke({"entered": HANDLERS + 1})
        try:
            measure(agent, limit)
            assert not any(call.done() for call in blocked)
        finally:
            agent.invoke({"open": True})
        assert {call.result().status for call in blocked} == {200}

    line = agent.wait_message("user code blocks the loop that it runs on")
    program = PROGRAMS / "blocking.py"
    number = next(n for n, text in enumerate(program.read_text().splitlines(), 1) if "the line that blocks" in text)
    assert (line["level"], line["loop"]) == ("WARNING", "outlast-agent")
    assert line["location"] == f"{program}:hold_the_loop:{number}"
    assert line["line"] == "gate.wait()  # the line that blocks"
    if sys.version_info >= (3, 12):
        assert line["requestId"] == "the-culprit"
    assert agent.wait_message("the loop runs again")["seconds"] > WATCHED - 1


def test_long_tasks_take_no_place_from_invocations(launch: Launcher) -> None:
    """While 200 synchronous tasks block, as many handlers as ever run at once, and /ping is as fast."""
    agent = launch.ready("blocking.py")
    limit = fast_enough(agent)
    task_ids = agent.invoke({"block": "tasks", "count": 200, "entered": 200}).task_ids
    assert len(task_ids) == 200
    with ThreadPoolExecutor(HANDLERS) as callers:
        blocked = [callers.submit(agent.invoke, {"block": "thread"}) for _ in range(HANDLERS)]
        agent.invoke({"entered": HANDLERS})
        try:
            measure(agent, limit)
            assert agent.ping() == "HealthyBusy"
            assert not any(call.done() for call in blocked)
        finally:
            agent.invoke({"open": True})
        assert {call.result().status for call in blocked} == {200}

    assert {agent.finished(task_id)["state"] for task_id in task_ids[::20]} == {"COMPLETED"}
