"""Tasks that outlive an attempt: tried again after a failure, a death, a stop; in time, and only where they may be."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import CancelTaskRequest, CreateTaskRequest, GetTaskRequest, WaitTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub

from .agent_process import PATIENCE, Agent, OutlastProcess, until
from .conftest import Launcher

pytestmark = pytest.mark.timeout(180)


class Retries:
    """Agents of one program, which share the test's store, notes and gate."""

    def __init__(self, launch: Launcher) -> None:
        self._launch = launch
        self._notes, self._gate = launch.folder / "notes", launch.folder / "gate"

    def agent(self, **environment: str) -> Agent:
        """Start an agent whose lease is a second long, and wait until it is ready."""
        files = {"NOTES_FILE": str(self._notes), "GATE_FILE": str(self._gate)}
        return self._launch.ready("retries.py", **{"OUTLAST_LEASE_TTL": "1s", **files, **environment})

    def notes(self) -> list[str]:
        """Return ``TYPE ATTEMPT PID`` of every attempt that has begun, in order."""
        return self._notes.read_text().splitlines() if self._notes.exists() else []

    def wait_for_attempts(self, count: int) -> None:
        """Wait until that many attempts have begun."""
        until(lambda: len(self.notes()) >= count, f"attempt {count}")

    def open_gate(self) -> None:
        """Let the tasks end that wait for it."""
        self._gate.touch()


@pytest.fixture
def retries(launch: Launcher) -> Retries:
    """A program whose tasks are tried again."""
    return Retries(launch)


@contextmanager
def tasks_of(process: OutlastProcess) -> Iterator[Any]:
    """Ask the task manager of a process, or one apart, over gRPC."""
    line = process.ready()
    address: Any = line.get("taskManager") or line["address"]
    with grpc.insecure_channel(address) as channel:
        stub: Any = TaskServiceStub  # its types are those of asyncio
        yield stub(channel)


def finished(tasks: Any, name: str) -> Task:
    """Return a task once it is terminal."""
    task = tasks.WaitTask(WaitTaskRequest(name=name, timeout=Duration(seconds=int(PATIENCE))), timeout=2 * PATIENCE)
    assert task.state in (Task.COMPLETED, Task.FAILED, Task.CANCELED), task
    return Task.FromString(task.SerializeToString())


def test_a_failed_task_is_tried_again(retries: Retries) -> None:
    """With a wait before each attempt; the record and the handle in the program tell the last one."""
    agent = retries.agent()

    for task_type in ("flaky", "flaky_on_a_thread"):
        began = time.monotonic()
        answer = agent.invoke({"start": task_type, "args": [2], "wait": True}).json
        assert time.monotonic() - began >= 0.2 + 0.4
        assert answer["result"] == {"attempt": 3, "pid": agent.pid}
        assert answer["attempt"] == 3
        record = agent.task(answer["taskId"])
        assert (record["state"], record["attempt"], record["maxAttempts"]) == ("COMPLETED", 3, 3)
    assert retries.notes() == [
        f"{task_type} {attempt} {agent.pid}" for task_type in ("flaky", "flaky_on_a_thread") for attempt in (1, 2, 3)
    ]


def test_the_last_failure_is_the_tasks(retries: Retries) -> None:
    """After the last attempt the task is FAILED with its error, which the handle raises in words."""
    agent = retries.agent()

    answer = agent.invoke({"start": "flaky", "args": [3], "wait": True}).json

    assert answer["failure"] == {
        "type": "TaskFailed",
        "text": f"tasks/{answer['taskId']} failed: LookupError: no luck with attempt 3",
        "attempt": 3,
    }
    record = agent.task(answer["taskId"])
    assert (record["state"], record["attempt"]) == ("FAILED", 3)
    assert record["error"]["message"] == "no luck with attempt 3"
    assert agent.ping() == "Healthy"


def test_another_process_takes_over_from_one_that_was_killed(retries: Retries) -> None:
    """Two processes of one agent on one SQLite file: the other one runs the next attempt, with the same arguments."""
    first, second = retries.agent(), retries.agent()
    task_id = first.invoke({"start": "patient", "args": ["bees"]}).json["taskId"]
    retries.wait_for_attempts(1)

    first.kill()
    retries.wait_for_attempts(2)
    retries.open_gate()

    record = second.finished(task_id)
    assert (record["state"], record["attempt"]) == ("COMPLETED", 2)
    assert record["result"] == {"attempt": 2, "pid": second.pid, "topic": "bees", "pages": 1}
    assert retries.notes() == [f"patient 1 {first.pid}", f"patient 2 {second.pid}"]


def test_the_next_run_takes_over_from_one_that_was_killed(retries: Retries) -> None:
    """With nobody there meanwhile the task waits for the agent's next process; one without retries is lost."""
    first = retries.agent()
    task_id = first.invoke({"start": "patient", "args": ["bees"]}).json["taskId"]
    lost_id = first.invoke({"start": "blocking", "args": [0]}).json["taskId"]
    retries.wait_for_attempts(2)
    first.kill()

    second = retries.agent()
    retries.wait_for_attempts(3)
    retries.open_gate()

    assert second.finished(task_id)["result"] == {"attempt": 2, "pid": second.pid, "topic": "bees", "pages": 1}
    lost = second.finished(lost_id)
    assert (lost["state"], lost["stateReason"]) == ("FAILED", "WORKER_LOST")


def test_a_stopped_process_releases_its_task_to_another(retries: Retries) -> None:
    """SIGTERM: what will not end in time and may run again goes on elsewhere."""
    first, second = retries.agent(OUTLAST_SHUTDOWN_GRACE="1"), retries.agent()
    task_id = first.invoke({"start": "patient", "args": ["bees"]}).json["taskId"]
    retries.wait_for_attempts(1)

    assert first.stop() == 0
    retries.wait_for_attempts(2)
    retries.open_gate()

    record = second.finished(task_id)
    assert (record["state"], record["attempt"]) == ("COMPLETED", 2)
    assert retries.notes() == [f"patient 1 {first.pid}", f"patient 2 {second.pid}"]


def test_an_attempt_has_its_time(retries: Retries) -> None:
    """Over the timeout it FAILED with DEADLINE and may run again; a thread's late value is nobody's."""
    agent = retries.agent()

    again = agent.invoke({"start": "late", "args": [True], "wait": True}).json
    assert again["result"] == {"attempt": 2, "pid": agent.pid}

    never = agent.invoke({"start": "late", "args": [False], "wait": True}).json
    assert (never["failure"]["type"], never["failure"]["attempt"]) == ("TaskFailed", 2)
    assert "DEADLINE" in never["failure"]["text"]
    record = agent.task(never["taskId"])
    assert (record["state"], record["stateReason"], record["attempt"]) == ("FAILED", "DEADLINE", 2)

    single = agent.invoke({"start": "late_on_a_thread", "wait": True}).json
    assert single["failure"]["type"] == "TaskFailed"
    retries.open_gate()
    record = agent.finished(single["taskId"])
    assert (record["state"], record["stateReason"]) == ("FAILED", "DEADLINE")
    assert "result" not in record

    by_hand = agent.invoke({"by_hand": True, "timeout": 0.2}).json["taskId"]
    record = agent.finished(by_hand)
    assert (record["state"], record["stateReason"]) == ("FAILED", "DEADLINE")
    assert agent.invoke({"complete": by_hand}).json == {"completed": False}
    agent.wait_message(f"Attempted to complete unknown task ID: {by_hand}")


def test_work_is_submitted_from_outside(retries: Retries) -> None:
    """It runs on a worker that has the type, with the attempts that CreateTask says, whatever the decorator does."""
    agent = retries.agent()
    retries.open_gate()

    with tasks_of(agent) as tasks:
        made = tasks.CreateTask(
            CreateTaskRequest(task_type="patient", input='{"args": ["bees"], "kwargs": {"pages": 3}}', session_id="s")
        )
        done = finished(tasks, made.name)
        assert (done.state, done.attempt, done.session_id) == (Task.COMPLETED, 1, "s")
        assert done.result.replace(" ", "") == f'{{"attempt":1,"pid":{agent.pid},"topic":"bees","pages":3}}'

        once = finished(tasks, tasks.CreateTask(CreateTaskRequest(task_type="flaky", input='{"args": [1]}')).name)
        assert (once.state, once.max_attempts, once.error.message) == (Task.FAILED, 1, "no luck with attempt 1")

        twice = CreateTaskRequest(task_type="flaky", input='{"args": [1]}', max_attempts=2)
        assert finished(tasks, tasks.CreateTask(twice).name).attempt == 2

        odd = CreateTaskRequest(task_type="flaky", input='{"kwargs": {"luck": 1}}', max_attempts=3)
        refused = finished(tasks, tasks.CreateTask(odd).name)
        assert (refused.state, refused.state_reason, refused.attempt) == (Task.FAILED, "INPUT_REFUSED", 1)
        assert "do not fit flaky" in refused.error.message


def test_work_that_nobody_can_do_says_so(retries: Retries) -> None:
    """NO_WORKER while it waits, and QUEUE_TIMEOUT when that took too long."""
    agent = retries.agent()

    with tasks_of(agent) as tasks:
        made = tasks.CreateTask(CreateTaskRequest(task_type="nobodys", queue_timeout=Duration(seconds=1)))
        assert (made.state, made.state_reason) == (Task.SUBMITTED, "NO_WORKER")
        ended = finished(tasks, made.name)
        assert (ended.state, ended.state_reason, ended.attempt) == (Task.FAILED, "QUEUE_TIMEOUT", 0)


def test_a_worker_of_a_session_runs_its_tasks_only(retries: Retries) -> None:
    """OUTLAST_SESSION binds a process: another session's task waits for another process."""
    bound = retries.agent(OUTLAST_SESSION="mine")
    retries.open_gate()

    with tasks_of(bound) as tasks:

        def create(session: str) -> str:
            request = CreateTaskRequest(task_type="patient", input='{"args": ["bees"]}', session_id=session)
            return str(tasks.CreateTask(request).name)

        others, mine = create("other"), create("mine")
        assert finished(tasks, mine).state == Task.COMPLETED
        assert tasks.GetTask(GetTaskRequest(name=others)).state == Task.SUBMITTED

        free = retries.agent()

        done = finished(tasks, others)
        assert f'"pid":{free.pid}' in done.result.replace(" ", "")
    assert [line.split()[2] for line in retries.notes()] == [str(bound.pid), str(free.pid)]


def test_plain_functions_over_the_bound_wait(retries: Retries) -> None:
    """They are SUBMITTED, WORKER_BUSY, in a busy process, and each runs in its turn; a canceled one never does."""
    agent = retries.agent(OUTLAST_MAX_TASK_THREADS="1")
    answers = [agent.invoke({"start": "blocking", "args": [number]}).json for number in range(4)]
    retries.wait_for_attempts(1)

    assert [answer["state"] for answer in answers] == ["WORKING", "SUBMITTED", "SUBMITTED", "SUBMITTED"]
    record = agent.task(answers[1]["taskId"])
    assert (record["state"], record["stateReason"]) == ("SUBMITTED", "WORKER_BUSY")
    assert "attempt" not in record
    assert agent.ping() == "HealthyBusy"
    with tasks_of(agent) as tasks:
        tasks.CancelTask(CancelTaskRequest(name=f"tasks/{answers[2]['taskId']}"))
        assert finished(tasks, f"tasks/{answers[2]['taskId']}").state == Task.CANCELED
    retries.open_gate()

    for number in (0, 1, 3):
        record = agent.finished(answers[number]["taskId"])
        assert (record["state"], record["result"], record["attempt"]) == ("COMPLETED", number, 1)
    until(lambda: agent.ping() == "Healthy", "the end of the tasks")
    assert [line.split()[0] for line in retries.notes()] == ["blocking-0", "blocking-1", "blocking-3"]


@pytest.mark.parametrize("kind", ["patient", "blocking"])
def test_a_cancel_reaches_code_from_another_replica(retries: Retries, kind: str) -> None:
    """Asked of the task manager in another process: the code is told within a second, and a bit for a busy machine."""
    runs, asks = retries.agent(), retries.agent()
    task_id = runs.invoke({"start": kind, "args": [0]}).json["taskId"]
    retries.wait_for_attempts(1)

    with tasks_of(asks) as tasks:
        began = time.monotonic()
        tasks.CancelTask(CancelTaskRequest(name=f"tasks/{task_id}"))
        ended = finished(tasks, f"tasks/{task_id}")
        took = time.monotonic() - began

    assert (ended.state, ended.state_reason) == (Task.CANCELED, "CANCEL_REQUESTED")
    assert took < 3.0
    until(lambda: runs.ping() == "Healthy", "the end of the code")


def test_code_that_answers_a_cancel_with_a_failure_is_not_tried_again(retries: Retries) -> None:
    """Somebody wanted it to end."""
    agent = retries.agent()
    task_id = agent.invoke({"start": "stubborn"}).json["taskId"]
    retries.wait_for_attempts(1)

    with tasks_of(agent) as tasks:
        tasks.CancelTask(CancelTaskRequest(name=f"tasks/{task_id}"))
        ended = finished(tasks, f"tasks/{task_id}")

    assert (ended.state, ended.attempt, ended.error.message) == (Task.FAILED, 1, "not like that")


def test_a_task_that_is_tracked_by_hand_is_ended_after_the_grace(retries: Retries) -> None:
    """It has no code to reach: CANCELED after the grace, and the program's later word does not count, and says so."""
    agent = retries.agent(OUTLAST_CANCEL_GRACE="0.5")
    task_id = agent.invoke({"by_hand": True}).json["taskId"]

    with tasks_of(agent) as tasks:
        asked = tasks.CancelTask(CancelTaskRequest(name=f"tasks/{task_id}"))
        assert asked.state == Task.WORKING
        ended = finished(tasks, f"tasks/{task_id}")

    assert (ended.state, ended.state_reason) == (Task.CANCELED, "CANCEL_REQUESTED")
    until(lambda: agent.ping() == "Healthy", "the end of the task")
    assert agent.invoke({"complete": task_id}).json == {"completed": False}
    agent.wait_message(f"Attempted to complete unknown task ID: {task_id}")


def test_a_process_that_was_stopped_longer_than_its_lease_has_lost_its_task(retries: Retries) -> None:
    """SIGSTOP, then SIGCONT: another process runs the next attempt, and what the first one returns is nobody's."""
    first, second = retries.agent(), retries.agent()
    task_id = first.invoke({"start": "patient", "args": ["bees"]}).json["taskId"]
    retries.wait_for_attempts(1)

    first.signal(signal.SIGSTOP)
    try:
        retries.wait_for_attempts(2)
        retries.open_gate()
        record = second.finished(task_id)
    finally:
        first.signal(signal.SIGCONT)

    assert (record["state"], record["attempt"], record["result"]["pid"]) == ("COMPLETED", 2, second.pid)
    until(lambda: first.ping() == "Healthy", "the end of the lost attempt")
    assert second.task(task_id) == record
    assert len(retries.notes()) == 2
