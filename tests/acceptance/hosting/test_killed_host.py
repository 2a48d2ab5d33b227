"""What is left when the host, or what keeps its processes, is killed: no orphan, and every session reachable."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from outlast.headers import SESSION_ID

from ..agent_process import until
from .conftest import PLAIN, TASKS, Hosts
from .host_process import session_id
from .processes import below, children

#: Sessions that live when the host is killed: most of them light, some with tasks at work.
LIGHT, WORKING = 45, 5


def test_a_killed_host(hosts: Hosts) -> None:
    """SIGKILL with 50 live sessions: no process is left, tasks are lost on record, each id works again."""
    host = hosts.start(PLAIN + TASKS)
    client = host.client(read_timeout=120)
    light = [session_id() for _ in range(LIGHT)]
    working = [session_id() for _ in range(WORKING)]
    with ThreadPoolExecutor(10) as pool:
        pids = set(pool.map(lambda session: host.invoke("plain", {"daemon": True}, session, client)["pid"], light))
        tasks = dict(
            zip(
                working,
                pool.map(
                    lambda session: host.invoke(
                        "tasks", {"do": "start", "word": session, "seconds": 600}, session, client
                    ),
                    working,
                ),
                strict=True,
            )
        )
    assert len(hosts.guests()) >= 2 * LIGHT + WORKING  # each light one has a daemon beside it
    host.kill()
    until(lambda: not hosts.guests(), "the end of every process of every session")

    host = hosts.start(PLAIN + TASKS)
    assert {one["endReason"] for one in host.sessions()} == {"HOST_LOST"}
    client = host.client(read_timeout=120)
    with ThreadPoolExecutor(10) as pool:
        again = set(pool.map(lambda session: host.invoke("plain", {}, session, client)["pid"], light))
    assert len(again) == LIGHT
    for session, started in tasks.items():
        path = f"/runtimes/tasks/tasks/{started['task']['taskId']}/wait"
        task = host.get(path, {SESSION_ID: session})
        assert (task["state"], task["stateReason"]) == ("FAILED", "WORKER_LOST")
        assert host.invoke("tasks", {}, session, client)["session"] == session
    assert len(pids) == LIGHT


def test_a_killed_spawner(hosts: Hosts) -> None:
    """What forks processes for the host is replaced when it is killed, and the sessions that live go on."""
    host = hosts.start(PLAIN)
    session = session_id()
    pid = host.invoke("plain", {}, session)["pid"]
    (spawner,) = children(host.pid)
    os.kill(spawner, signal.SIGKILL)
    assert host.invoke("plain", {}, session)["pid"] == pid
    other = session_id()
    assert host.invoke("plain", {}, other)["pid"] != pid
    host.stop_session("plain", session)
    host.stop_session("plain", other)
    assert not hosts.guests()


def test_a_killed_warden(hosts: Hosts) -> None:
    """When what keeps one session's processes is killed, the session ends; the next invocation has a new process."""
    host = hosts.start(PLAIN)
    session = session_id()
    pid = host.invoke("plain", {}, session)["pid"]
    (warden,) = (process for process in below(host.pid) if pid in children(process))
    os.kill(warden, signal.SIGKILL)
    until(lambda: host.session("plain", session)["state"] == "STOPPED", "the end of the session")
    assert not hosts.guests()
    assert host.invoke("plain", {}, session)["pid"] != pid


def test_one_host_a_folder(hosts: Hosts) -> None:
    """A second host in the folder of a running one does not start, and says why."""
    hosts.start(PLAIN)
    second = hosts.start(PLAIN, ready=False)
    assert second.wait() == 1
    assert "another session host" in "\n".join(second.errors)


def test_one_host_a_name(hosts: Hosts) -> None:
    """A second host of a running one's name on its store does not start, says why, and leaves its sessions alone."""
    store = f'store = "sqlite:///{hosts.folder / "shared.db"}"\n'
    first = hosts.start(PLAIN, store + 'name = "one"\n', place="first")
    session = session_id()
    pid = first.invoke("plain", {}, session)["pid"]

    second = hosts.start(PLAIN, store + 'name = "one"\n', place="second", ready=False)
    assert second.wait() == 1
    told = f"another session host named 'one' uses the store {hosts.folder / 'shared.db'}: "
    assert told + "stop it, or give this one another `name`" in "\n".join(second.errors)
    assert first.session("plain", session)["state"] == "IDLE"

    other = hosts.start(PLAIN, store + 'name = "other"\n', place="other")
    with pytest.raises(ClientError, match="held by the host 'one'") as refused:
        other.stop_session("plain", session)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert first.invoke("plain", {}, session)["pid"] == pid

    first.kill()
    next_one = hosts.start(PLAIN, store + 'name = "one"\n', place="second")
    assert next_one.session("plain", session)["endReason"] == "HOST_LOST"
    assert next_one.invoke("plain", {}, session)["pid"] != pid
