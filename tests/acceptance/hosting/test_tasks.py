"""Tasks of sessions: kept when the session is not, lost when its process dies, nobody else's."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from outlast.headers import SESSION_ID

from ..agent_process import until
from ..span_receiver import SpanReceiver
from .conftest import TASKS, Hosts
from .host_process import session_id


@pytest.fixture
def receiver() -> Iterator[SpanReceiver]:
    """Receive spans."""
    receiver = SpanReceiver()
    yield receiver
    receiver.close()


def test_a_result_outlasts_its_session(hosts: Hosts) -> None:
    """The caller comes back for the result when the session, and even the host that ran it, is gone."""
    host = hosts.start(TASKS)
    session = session_id()
    started = host.invoke("tasks", {"do": "start", "word": "kept"}, session)
    path = f"/runtimes/tasks/tasks/{started['task']['taskId']}"
    assert host.get(f"{path}/wait", {SESSION_ID: session})["state"] == "COMPLETED"
    host.stop_session("tasks", session)
    assert host.get(path, {SESSION_ID: session})["result"] == {"word": "kept", "pid": started["pid"]}
    with pytest.raises(HTTPError) as refused:
        host.get(path, {SESSION_ID: session_id()})
    assert refused.value.code == 404

    host.kill()
    host = hosts.start(TASKS)
    assert host.get(path, {SESSION_ID: session})["state"] == "COMPLETED"


def test_a_session_that_dies(hosts: Hosts, receiver: SpanReceiver) -> None:
    """The caller is told, the tasks are recorded as lost, their spans closed; the id works again in a new process."""
    host = hosts.start(TASKS, variables={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address})
    session = session_id()
    started = host.invoke("tasks", {"do": "start", "word": "lost", "seconds": 600}, session)
    task_id = started["task"]["taskId"]
    with pytest.raises(ClientError) as error:
        host.invoke("tasks", {"do": "die"}, session)
    assert error.value.response["Error"]["Code"] == "RuntimeClientError"
    assert "signal 9" in error.value.response["Error"]["Message"]

    task = host.get(f"/runtimes/tasks/tasks/{task_id}/wait", {SESSION_ID: session})
    assert (task["state"], task["stateReason"]) == ("FAILED", "WORKER_LOST")
    span = receiver.named("async_task remember")
    assert (span.span_id, span.status) == (f"{int(task_id):016x}", 2)
    host.wait_line(lambda line: str(line["message"]).startswith(f"Async task lost: remember (ID: {task_id}"))
    shown = host.session("tasks", session)
    assert (shown["state"], shown["endReason"]) == ("STOPPED", "PROCESS_ENDED")
    assert host.invoke("tasks", {}, session)["pid"] != started["pid"]


def test_a_working_session_is_kept(hosts: Hosts) -> None:
    """HealthyBusy keeps a session beyond its idle timeout; when its task has ended, it idles and is stopped."""
    host = hosts.start(TASKS + 'idle_timeout = "2s"\n', 'ping_interval = "0.2s"\n')
    session = session_id()
    started = host.invoke("tasks", {"do": "start", "word": "slow", "seconds": 4}, session)
    task = host.get(f"/runtimes/tasks/tasks/{started['task']['taskId']}/wait", {SESSION_ID: session})
    assert task["state"] == "COMPLETED"
    assert host.session("tasks", session)["state"] in ("ACTIVE", "IDLE")
    until(lambda: host.session("tasks", session)["state"] == "STOPPED", "the end of the idle session")
    assert host.session("tasks", session)["endReason"] == "IDLE_TIMEOUT"


def test_a_host_that_is_told_to_stop(hosts: Hosts) -> None:
    """SIGTERM gives tasks their grace, records what was cut short, and leaves no process."""
    host = hosts.start(TASKS, variables={"OUTLAST_SHUTDOWN_GRACE": "4"})
    session = session_id()
    short = host.invoke("tasks", {"do": "start", "word": "short", "seconds": 1}, session)["task"]["taskId"]
    long = host.invoke("tasks", {"do": "start", "word": "long", "seconds": 600}, session)["task"]["taskId"]
    host.signal(signal.SIGTERM)
    assert host.wait() == 0
    assert not hosts.guests()
    host = hosts.start(TASKS)
    states = {
        task_id: (task["state"], task.get("stateReason"))
        for task_id in (short, long)
        for task in [host.get(f"/runtimes/tasks/tasks/{task_id}", {SESSION_ID: session})]
    }
    assert states[short][0] == "COMPLETED"
    assert states[long][0] == "FAILED"
    assert states[long][1] in ("WORKER_SHUTDOWN", "WORKER_LOST")
    assert host.session("tasks", session)["endReason"] == "HOST_STOPPED"
