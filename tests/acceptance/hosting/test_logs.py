"""What a session host and its guests write to standard error."""

from __future__ import annotations

from .conftest import TASKS, Hosts
from .host_process import session_id


def test_a_host_and_its_guests_write_json(hosts: Hosts) -> None:
    """Every line of either is JSON, with the names of keys that the host was given; a guest's name its session."""
    host = hosts.start(TASKS, variables={"OUTLAST_LOG_KEYS": "level=severity"})
    session = session_id()
    started = host.invoke("tasks", {"do": "start", "word": "told"}, session)
    task_id = started["task"]["taskId"]
    host.wait_line(lambda line: line.get("taskId") == task_id and "(ID:" not in line["message"], "the guest's line")
    assert host.stop() == 0

    assert [line for line in host.errors if not line.startswith("{")] == []
    assert [line for line in host.lines if "severity" not in line or "level" in line] == []
    [ready] = [line for line in host.lines if line["message"] == "agent is ready"]
    assert ready["sessionId"] == session
