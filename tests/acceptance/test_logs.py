"""What a process writes to standard error: under ``outlast`` all of it is JSON, under ``python`` as it ever was."""

from __future__ import annotations

from .agent_process import OutlastProcess
from .conftest import Launcher

REQUEST, SESSION, TRACE = (
    "request-1",
    "a-session-of-at-least-thirty-three-characters",
    "4bf92f3577b34da6a3ce929d0e0e4736",
)
CALLER = "00f067aa0ba902b7"
HEADERS = {
    "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id": REQUEST,
    "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": SESSION,
    "traceparent": f"00-{TRACE}-{CALLER}-01",
}


def is_all_json(process: OutlastProcess) -> bool:
    """Tell whether a process that has ended wrote nothing but JSON objects."""
    assert [line for line in process.errors if not line.startswith("{")] == []
    return len(process.lines) == len(process.errors) > 0


def test_every_line_is_json_with_the_ids_of_its_work(launch: Launcher) -> None:
    """Libraries, warnings and what nobody caught, from the import to the end; the task manager's lines as well."""
    launch.on_purpose.append("division by zero")
    manager = launch.task_manager()
    agent = launch.ready(
        "talkative.py",
        OUTLAST_TASK_MANAGER=str(manager.ready()["address"]),
        OUTLAST_LOG_KEYS="level=severity,traceId=trace_id",
    )
    thread_task, loop_task = agent.invoke({"wrong": True}, HEADERS).json
    assert (agent.stop(), manager.stop()) == (0, 0)

    assert is_all_json(agent)
    assert is_all_json(manager)
    told = {line["message"]: line for line in agent.lines}
    assert all({"timestamp", "severity", "message", "logger"} <= set(line) for line in agent.lines)
    of_request = {"requestId": REQUEST, "sessionId": SESSION, "trace_id": TRACE}
    expected = {
        "while it is imported": {},
        "in a handler": of_request | {"spanId": CALLER},
        "in a task on a thread": of_request | {"taskId": thread_task, "spanId": f"{int(thread_task):016x}"},
        "in a span of its own": of_request
        | {"taskId": thread_task, "trace_id": f"{0xABC:032x}", "spanId": f"{0xDEF:016x}"},
        "in a task on a loop": of_request | {"taskId": loop_task, "spanId": f"{int(loop_task):016x}"},
        "in a thread of that task": of_request | {"taskId": loop_task, "spanId": f"{int(loop_task):016x}"},
        "by the app's logger": of_request | {"taskId": loop_task, "spanId": f"{int(loop_task):016x}"},
    }
    common = {"timestamp", "severity", "message", "logger"}
    for message, ids in expected.items():
        assert {name: value for name, value in told[message].items() if name not in common} == ids, message
    # Each once: basicConfig() has added nothing.
    assert sorted(line["message"] for line in agent.lines if line["message"] in expected) == sorted(expected)
    [warned] = [line for line in agent.lines if line["logger"] == "py.warnings"]
    assert ("careful" in warned["message"], warned["requestId"]) == (True, REQUEST)
    assert told["a thread of the program has failed"]["errorType"] == "ZeroDivisionError"
    [forgotten] = [line for line in agent.lines if line["logger"] == "asyncio"]
    assert (forgotten["errorType"], forgotten["severity"]) == ("LookupError", "ERROR")


def test_a_program_that_python_runs_keeps_its_logging(launch: Launcher) -> None:
    """With app.run() nothing of the program's own is touched: the same text in the same places, byte for byte."""
    agent = launch.python("talkative.py")
    agent.invoke({}, HEADERS)
    assert agent.stop() == 0

    of_the_runtime = ("{", "TEXT bedrock_agentcore.app Async task", "TEXT bedrock_agentcore.app Invocation")
    own = [line for line in agent.errors if not line.startswith(of_the_runtime)]
    program = launch.find("talkative.py")
    warn = next(number for number, line in enumerate(program.read_text().splitlines(), 1) if "warnings.warn" in line)
    in_order = [
        "TEXT a.library while it is imported",
        "TEXT a.library in a handler",
        f"{program}:{warn}: UserWarning: careful",
        '  warnings.warn("careful", stacklevel=1)',
    ]
    assert own[:4] == in_order
    assert sorted(own[4:]) == [
        "TEXT a.library in a span of its own",
        "TEXT a.library in a task on a loop",
        "TEXT a.library in a task on a thread",
        "TEXT a.library in a thread of that task",
        "TEXT bedrock_agentcore.app by the app's logger",
    ]
