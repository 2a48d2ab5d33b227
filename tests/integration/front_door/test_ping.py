"""``GET /ping`` (promise 7)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from outlast.core.operation import Finish, Start
from outlast.core.state import TaskState
from outlast.ping import PingReport, PingStatus

from .conftest import Agent, Open


async def test_ping_says_busy_exactly_while_a_task_lives(agent: Agent, open_door: Open) -> None:
    """HealthyBusy from the start of a task to its end; time_of_last_update is a whole Unix second."""
    client = await open_door()

    before = (await client.get("/ping")).json
    task = agent.ledger.start(Start("work"))
    during = (await client.get("/ping")).json
    agent.ledger.finish(task.task_id, Finish(TaskState.COMPLETED))
    after = (await client.get("/ping")).json

    assert [answer["status"] for answer in (before, during, after)] == ["Healthy", "HealthyBusy", "Healthy"]
    assert all(type(answer["time_of_last_update"]) is int for answer in (before, during, after))


async def test_ping_is_compact_json_and_answers_head(open_door: Open) -> None:
    """The body is the contract's, and HEAD works."""
    client = await open_door()

    got = await client.get("/ping")
    head = await client.ask("HEAD", "/ping")

    assert got.body.startswith(b'{"status":"Healthy","time_of_last_update":')
    assert got.headers["Content-Type"] == "application/json"
    assert (head.status, head.body) == (200, b"")


async def _async_busy() -> PingStatus:
    return PingStatus.HEALTHY_BUSY


async def _async_text() -> str:
    return "HealthyBusy"


@pytest.mark.parametrize("custom", [lambda: PingStatus.HEALTHY_BUSY, lambda: "HealthyBusy", _async_busy, _async_text])
async def test_a_custom_handler_decides(agent: Agent, open_door: Open, custom: Any) -> None:
    """A custom handler of either kind gives the enum or its value."""
    agent.ping.custom = custom
    client = await open_door()

    assert (await client.get("/ping")).json["status"] == "HealthyBusy"


async def test_forced_wins_over_custom(agent: Agent, open_door: Open) -> None:
    """A forced status is said whatever the custom handler says, until it is cleared."""
    agent.ping.custom = lambda: "HealthyBusy"
    client = await open_door()

    agent.ping.force(PingStatus.HEALTHY)
    forced = (await client.get("/ping")).json["status"]
    agent.ping.force(None)
    cleared = (await client.get("/ping")).json["status"]

    assert (forced, cleared) == ("Healthy", "HealthyBusy")


async def test_a_custom_handler_that_fails_is_warned_of(agent: Agent, open_door: Open, lines: Any) -> None:
    """When a custom handler raises or says nonsense the automatic status answers, with the original's warning."""
    agent.ping.custom = lambda: "Fine"
    client = await open_door()

    answer = await client.get("/ping")
    line = lines()[-1]

    assert answer.json["status"] == "Healthy"
    assert line["level"] == "WARNING"
    assert line["message"] == (
        "Custom ping handler failed, falling back to automatic: ValueError: 'Fine' is not a valid PingStatus"
    )


async def _async_none() -> None:
    return None


@pytest.mark.parametrize("custom", [lambda: None, _async_none])
async def test_a_custom_handler_may_leave_it_to_the_automatic_status(
    agent: Agent, open_door: Open, lines: Any, custom: Any
) -> None:
    """None is the automatic status, and no reason for a warning."""
    agent.ping.custom = custom
    client = await open_door()
    lines()

    idle = (await client.get("/ping")).json["status"]
    agent.ledger.start(Start("work"))
    busy = (await client.get("/ping")).json["status"]

    assert (idle, busy, lines()) == ("Healthy", "HealthyBusy", [])
    assert await asyncio.to_thread(agent.ping.get_current) is PingStatus.HEALTHY_BUSY


@pytest.mark.parametrize("said", [7, {"status": "Healthy"}, "healthy"])
async def test_what_is_no_status_is_warned_of(agent: Agent, open_door: Open, lines: Any, said: object) -> None:
    """The automatic status answers: unlike the original, which then says Healthy whatever runs."""
    agent.ping.custom = lambda: said
    agent.ledger.start(Start("work"))
    client = await open_door()

    assert (await client.get("/ping")).json["status"] == "HealthyBusy"
    assert lines()[-1]["message"].startswith("Custom ping handler failed, falling back to automatic: ValueError: ")


async def test_a_fault_of_ours_is_healthy(
    agent: Agent, open_door: Open, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A platform ends who does not answer: as in the original, the fault is in the log and the agent goes on."""
    client = await open_door()

    async def fail() -> PingReport:
        raise RuntimeError("a bug")

    monkeypatch.setattr(agent.ping, "ask", fail)
    answer = await client.get("/ping")
    line = lines()[-1]

    assert (answer.status, answer.json["status"]) == (200, "Healthy")
    assert type(answer.json["time_of_last_update"]) is int
    assert (line["level"], line["message"], line["errorMessage"]) == ("ERROR", "Ping endpoint failed", "a bug")


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_custom_handler_that_hangs_is_not_waited_for(
    agent: Agent, open_door: Open, lines: Any, asynchronous: bool
) -> None:
    """A handler that hangs hangs once: after its time the automatic status answers, and is warned of once."""
    calls: list[int] = []
    release = threading.Event()

    def hang() -> str:
        calls.append(1)
        release.wait(30)
        return "Healthy"

    async def async_hang() -> str:
        calls.append(1)
        await asyncio.Event().wait()
        return "Healthy"

    agent.ping.custom = async_hang if asynchronous else hang
    agent.ledger.start(Start("work"))
    client = await open_door()

    answers = [(await client.get("/ping")).json["status"] for _ in range(3)]
    warnings = [line for line in lines() if line["message"].startswith("Custom ping handler failed")]
    release.set()

    assert (answers, len(calls), len(warnings)) == (["HealthyBusy"] * 3, 1, 1)


async def test_invocations_in_flight_count_when_asked_for(agent: Agent, open_door: Open) -> None:
    """Only with count_invocations does an invocation under way make the agent busy."""
    seen: list[PingStatus] = []
    agent.entrypoint_handler = lambda payload: seen.append(agent.ping.get_current())
    client = await open_door()

    await client.invoke()
    agent.ping.count_invocations = True
    await client.invoke()

    assert seen == [PingStatus.HEALTHY, PingStatus.HEALTHY_BUSY]
    assert (await client.get("/ping")).json["status"] == "Healthy"
