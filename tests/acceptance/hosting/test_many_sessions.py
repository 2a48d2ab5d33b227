"""Many sessions at once, and one after another: none mixed up, nothing left, nothing leaked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from outlast.headers import SESSION_ID

from ..agent_process import until
from .conftest import PLAIN, TASKS, Hosts
from .host_process import Host, session_id
from .processes import below, children, descriptors, state

#: How much more memory the host may hold after the last round than after the first: what no leak explains.
SLACK = 24 * 1024 * 1024


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_at_once(hosts: Hosts, count: int) -> None:
    """Each session has its own process and its own task; stopped again, no process is left."""
    host = hosts.start(TASKS)
    client = host.client(read_timeout=900, max_pool_connections=count)
    sessions = [session_id() for _ in range(count)]
    with ThreadPoolExecutor(count) as pool:
        started = list(
            pool.map(
                lambda session: host.invoke("tasks", {"do": "start", "word": session, "seconds": 5}, session, client),
                sessions,
            )
        )
        assert [one["session"] for one in started] == sessions
        assert len({one["pid"] for one in started}) == count
        assert len(hosts.guests()) == count
        for session, one in zip(sessions, started, strict=True):
            path = f"/runtimes/tasks/tasks/{one['task']['taskId']}/wait"
            task = host.get(path, {SESSION_ID: session})
            assert (task["state"], task["sessionId"]) == ("COMPLETED", session)
            assert task["result"] == {"word": session, "pid": one["pid"]}
        assert len(host.sessions(pageSize="1000")) == count
        list(pool.map(lambda session: host.stop_session("tasks", session, client), sessions))
    assert not hosts.guests()
    assert {one["state"] for one in host.sessions(pageSize="1000")} == {"STOPPED"}
    until(lambda: len(below(host.pid)) == 1, "the end of all but what forks them")


def start_and_stop(host: Host, count: int) -> None:
    """Start and stop ``count`` sessions, eight at a time, each id twice."""
    client = host.client(read_timeout=120)

    def twice(session: str) -> None:
        for _ in range(2):
            host.invoke("plain", {}, session, client)
            host.stop_session("plain", session, client)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(twice, [session_id() for _ in range(count // 2)]))
    client.close()


@pytest.mark.parametrize("count", [200, pytest.param(2_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_one_after_another(hosts: Hosts, count: int) -> None:
    """Starts and stops leak neither memory nor descriptors nor processes, in the host or in what forks for it."""
    host = hosts.start(PLAIN)
    start_and_stop(host, 50)  # the first ones load what is loaded once
    (spawner,) = children(host.pid)
    before = (descriptors(host.pid), descriptors(spawner), host.memory())
    start_and_stop(host, count)
    until(lambda: descriptors(host.pid) <= before[0], "the end of the clients' connections")
    after = (descriptors(host.pid), descriptors(spawner), host.memory())
    print(f"{count} starts and stops: descriptors and memory {before} before, {after} after")
    assert not hosts.guests()
    assert after[1] <= before[1]
    assert after[2] <= before[2] + SLACK
    until(lambda: below(host.pid) == {spawner}, "the end of every warden")
    assert state(spawner) != "Z"
