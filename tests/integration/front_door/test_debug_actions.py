"""Debug actions (contract section 4.1)."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.ping import PingStatus
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Open

ACTION = "_agent_core_app_action"


@pytest.fixture(autouse=True)
def debugged(agent: Agent) -> None:
    """Debug is on, and there is an entrypoint."""
    agent.debug = True
    agent.entrypoint_handler = lambda payload: payload


@pytest.mark.parametrize(
    ("action", "status", "answer", "said"),
    [
        ("job_status", 200, {"active_count": 0, "running_jobs": []}, []),
        ("force_busy", 200, {"forced_status": "HealthyBusy"}, ["Ping status forced to HealthyBusy"]),
        ("force_healthy", 200, {"forced_status": "Healthy"}, ["Ping status forced to Healthy"]),
        ("clear_forced_status", 200, {"forced_status": "Cleared"}, ["Forced ping status cleared"]),
        ("dance", 400, {"error": "Unknown action: dance"}, ["Unknown debug action requested: dance"]),
        (7, 400, {"error": "Unknown action: 7"}, ["Unknown debug action requested: 7"]),
    ],
)
async def test_an_action_is_answered(
    open_door: Open, lines: Any, action: object, status: int, answer: object, said: list[str]
) -> None:
    """Each action has its answer and its lines; the last of them has the time that it took."""
    client = await open_door()
    lines()

    acted = await client.invoke({ACTION: action})
    messages = [line["message"] for line in lines()]

    assert (acted.status, acted.json) == (status, answer)
    assert messages[:-1] == said
    assert messages[-1].startswith("Debug action completed (")


async def test_the_ping_status_is_that_of_ping(agent: Agent, open_door: Open) -> None:
    """A forced status shows, and the time is that of its change."""
    client = await open_door()
    agent.ping.force(PingStatus.HEALTHY_BUSY)

    assert (await client.invoke({ACTION: "ping_status"})).json == (await client.get("/ping")).json


@pytest.mark.parametrize("payload", [{"prompt": "hi"}, {ACTION: ""}, {ACTION: None}])
async def test_other_payloads_reach_the_handler(open_door: Open, payload: object) -> None:
    """An object without an action is for the entrypoint."""
    client = await open_door()

    assert (await client.invoke(payload)).json == payload


@pytest.mark.parametrize(("payload", "type_name"), [([1], "list"), ("hi", "str"), (None, "NoneType")])
async def test_a_payload_that_is_no_object_fails(
    agent: Agent, open_door: Open, lines: Any, payload: object, type_name: str
) -> None:
    """As in the original, though only while debug is on."""
    client = await open_door()
    lines()

    failed = await client.invoke(payload)
    [line] = lines()
    agent.debug = False
    passed = await client.invoke(payload)

    assert (failed.status, failed.json) == (500, {"error": f"'{type_name}' object has no attribute 'get'"})
    assert line["message"].startswith("Invocation failed (")
    assert line["errorType"] == "AttributeError"
    assert (passed.status, passed.json) == (200, payload)


async def test_the_apps_own_methods_are_called(agent: Agent, open_door: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that overrides them is heard."""
    heard: list[object] = []
    monkeypatch.setattr(agent, "force_ping_status", heard.append)
    monkeypatch.setattr(agent, "clear_forced_ping_status", lambda: heard.append(None))
    client = await open_door()

    for action in ("force_busy", "force_healthy", "clear_forced_status"):
        await client.invoke({ACTION: action})

    assert heard == [PingStatus.HEALTHY_BUSY, PingStatus.HEALTHY, None]


@pytest.mark.parametrize(
    ("error_detail", "answer"),
    [
        (True, {"error": "Debug action failed", "details": "no info"}),
        (False, {"error": "Internal error", "requestId": "r-1"}),
    ],
)
async def test_an_action_that_fails_says_why(
    agent: Agent, open_door: Open, lines: Any, monkeypatch: pytest.MonkeyPatch, error_detail: bool, answer: object
) -> None:
    """500 with the details, or without them where callers are not to see them; the log has them all."""

    def fail() -> Any:
        raise RuntimeError("no info")

    monkeypatch.setattr(agent, "get_async_task_info", fail)
    client = await open_door(rules=InvocationRules(error_detail=error_detail))
    lines()

    failed = await client.invoke({ACTION: "job_status"}, X_Amzn_Bedrock_AgentCore_Runtime_Request_Id="r-1")
    line, completed = lines()

    assert (failed.status, failed.json) == (500, answer)
    assert (line["level"], line["message"]) == ("ERROR", "Debug action 'job_status' failed")
    assert (line["errorType"], line["errorMessage"]) == ("RuntimeError", "no info")
    assert completed["message"].startswith("Debug action completed (")


async def test_an_action_that_is_no_name_fails(open_door: Open) -> None:
    """What cannot be looked up is no unknown action."""
    failed = await (await open_door()).invoke({ACTION: ["force_busy"]})

    assert failed.status == 500
    assert failed.json["error"] == "Debug action failed"
