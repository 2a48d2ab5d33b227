"""A session host on PostgreSQL."""

from __future__ import annotations

import signal

from outlast.headers import SESSION_ID

from .conftest import TASKS, Hosts
from .host_process import session_id


def test_sessions_and_tasks_on_postgresql(hosts: Hosts, postgres_url: str) -> None:
    """What was invoked, worked at and stopped is known to the next host, which goes on with the same ids."""
    store = f'store = "{postgres_url}"\n'
    host = hosts.start(TASKS, store)
    stopped, live = session_id(), session_id()
    done = host.invoke("tasks", {"do": "start", "word": "kept"}, stopped)
    path = f"/runtimes/tasks/tasks/{done['task']['taskId']}"
    assert host.get(f"{path}/wait", {SESSION_ID: stopped})["state"] == "COMPLETED"
    host.stop_session("tasks", stopped)
    assert not hosts.guests()
    assert host.session("tasks", stopped)["endReason"] == "STOP_REQUESTED"
    lost = host.invoke("tasks", {"do": "start", "word": "lost", "seconds": 600}, live)["task"]["taskId"]
    host.kill()

    host = hosts.start(TASKS, store)
    assert {one["sessionId"]: one["endReason"] for one in host.sessions()} == {
        stopped: "STOP_REQUESTED",
        live: "HOST_LOST",
    }
    assert host.get(path, {SESSION_ID: stopped})["result"] == {"word": "kept", "pid": done["pid"]}
    task = host.get(f"/runtimes/tasks/tasks/{lost}/wait", {SESSION_ID: live})
    assert (task["state"], task["stateReason"]) == ("FAILED", "WORKER_LOST")
    assert host.invoke("tasks", {}, live)["session"] == live
    assert host.session("tasks", live)["run"] == 2
    host.signal(signal.SIGTERM)
    assert host.wait() == 0
    assert not hosts.guests()
