"""``/ws`` through a session host: real clients on one side, an agent of outlast's own on the other."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from outlast.headers import CUSTOM_PREFIX, SESSION_ID

from ..agent_process import PATIENCE, until
from .conftest import PLAIN, TASKS, Hosts
from .host_process import GUESTS, Host, arn, session_id

SOCKETS = TASKS.replace("[agents.tasks]", "[agents.sockets]").replace("tasks.py", "sockets.py")
assert str(GUESTS / "sockets.py") in SOCKETS


@contextmanager
def opened(host: Host, session: str, agent: str = "sockets", query: str = "", **headers: str) -> Iterator[Any]:
    """Connect to an agent in a session, which the header names unless it is empty."""
    url = f"{host.address.replace('http', 'ws')}/runtimes/{quote(arn(agent), safe='')}/ws{query}"
    named = {SESSION_ID: session} if session else {}
    with connect(url, additional_headers={**named, **headers}, open_timeout=PATIENCE, max_size=None) as socket:
        yield socket


def who(socket: ClientConnection) -> Any:
    """Return who answers."""
    socket.send("who")
    return json.loads(socket.recv(PATIENCE))


def how_it_closed(socket: ClientConnection) -> tuple[int, str]:
    """Return code and reason of the close that comes."""
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(PATIENCE)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_frames_and_sessions(hosts: Hosts) -> None:
    """Text and bytes come back as they were sent; header or query names the session, whose process it is."""
    host = hosts.start(SOCKETS)
    session, other = session_id(), session_id()
    pid = host.invoke("sockets", {}, session)["pid"]
    custom = f"{CUSTOM_PREFIX}Colour"
    with opened(host, session, **{custom: "red"}) as socket:
        assert socket.response.headers[SESSION_ID] == session
        assert who(socket) == {"pid": pid, "session": session, "custom": {custom.lower(): "red"}}
        for message in ("", "text, ä, 🐝", b"", bytes(range(256)), "x" * 1_000_000, b"\0" * 5_000_000):
            socket.send(message)
            assert socket.recv(PATIENCE) == message
        with opened(host, "", query=f"?{SESSION_ID}={session}&{custom}=blue&qualifier=DEFAULT") as second:
            assert who(second) == {"pid": pid, "session": session, "custom": {custom.lower(): "blue"}}
        with opened(host, other) as third:
            assert who(third)["session"] == other
            assert who(third)["pid"] != pid
    with opened(host, "") as socket:  # an id is made, and told
        assert who(socket)["session"] == socket.response.headers[SESSION_ID]


def test_close_codes(hosts: Hosts) -> None:
    """Codes and reasons reach the other side, both ways; an exception of the agent is 1011."""
    host = hosts.start(SOCKETS)
    session = session_id()
    with opened(host, session) as socket:
        socket.send("close 4001 so-long")
        assert how_it_closed(socket) == (4001, "so-long")
    with opened(host, session) as socket:
        socket.close(4002, "that was it")
    with opened(host, session) as socket:
        socket.close()

    def ends() -> list[Any]:
        return list(host.invoke("sockets", {}, session)["ends"])

    until(lambda: [1000, ""] in ends(), "the agent's news of the close without a code")
    assert [4002, "that was it"] in ends()
    with opened(host, session) as socket:
        socket.send("raise")
        assert how_it_closed(socket)[0] == 1011
    until(lambda: host.session("sockets", session)["inFlight"] == 0, "the end of every connection")


def test_refusals(hosts: Hosts) -> None:
    """What is no session or agent, or an agent without WebSockets, is refused with a status and the error's type."""
    host = hosts.start(SOCKETS + TASKS + PLAIN)
    for agent, session, query, status, kind in (
        ("nobody", session_id(), "", 404, "ResourceNotFoundException"),
        ("sockets", "short", "", 400, "ValidationException"),
        ("sockets", session_id(), "?qualifier=PROD", 404, "ResourceNotFoundException"),
        ("tasks", session_id(), "", 403, "RuntimeClientError"),
        ("plain", session_id(), "", 404, "RuntimeClientError"),
    ):
        with pytest.raises(InvalidStatus) as refused, opened(host, session, agent, query):
            pass
        response = refused.value.response
        assert (response.status_code, response.headers["x-amzn-ErrorType"]) == (status, kind), agent


def test_the_idle_timer(hosts: Hosts) -> None:
    """A connection in use keeps its session beyond the idle timeout; after it the session idles out."""
    host = hosts.start(SOCKETS + 'idle_timeout = "1s"\n', 'ping_interval = "0.2s"\n')
    session = session_id()
    with opened(host, session) as socket:
        pid = who(socket)["pid"]
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert who(socket)["pid"] == pid
            shown = host.session("sockets", session)
            assert (shown["state"], shown["inFlight"]) == ("ACTIVE", 1)
            time.sleep(0.2)
    until(lambda: host.session("sockets", session)["state"] == "STOPPED", "the end of the idle session")
    assert host.session("sockets", session)["endReason"] == "IDLE_TIMEOUT"


def test_the_end_of_a_session(hosts: Hosts) -> None:
    """A stop closes the session's connections with 1001, and a death of its process too; the id works again."""
    host = hosts.start(SOCKETS)
    session = session_id()
    with opened(host, session) as socket, opened(host, session) as second:
        pid = who(socket)["pid"]
        host.stop_session("sockets", session)
        assert how_it_closed(socket)[0] == 1001
        assert how_it_closed(second)[0] == 1001
    with opened(host, session) as socket, opened(host, session) as second:
        assert who(socket)["pid"] != pid
        socket.send("die")
        code, reason = how_it_closed(socket)
        assert code == 1001
        assert "signal 9" in reason
        assert how_it_closed(second)[0] == 1001
    until(lambda: host.session("sockets", session)["state"] == "STOPPED", "the end of the session")
    assert host.session("sockets", session)["endReason"] == "PROCESS_ENDED"


def test_many_connections(hosts: Hosts) -> None:
    """Connections of several sessions at once are not mixed up; their number is limited as requests are."""
    host = hosts.start(SOCKETS, "max_requests = 6\n")
    sessions = [session_id() for _ in range(3)]
    with ExitStack() as stack:
        sockets = [(session, stack.enter_context(opened(host, session))) for session in sessions * 2]
        for session, socket in sockets:
            socket.send("who")
            socket.send(session)
        for session, socket in sockets:
            assert json.loads(socket.recv(PATIENCE))["session"] == session
            assert socket.recv(PATIENCE) == session
        with pytest.raises(InvalidStatus) as refused, opened(host, sessions[0]):
            pass
        assert refused.value.response.status_code == 429
    with opened(host, sessions[0]) as socket:
        assert who(socket)["session"] == sessions[0]
