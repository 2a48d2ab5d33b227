"""What the front door says of a request, to the letter and in the original's order (contract section 4.3)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from outlast.context import current_invocation
from outlast.telemetry import log
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Open

BUNDLE = "aws.agentcore.configbundle_arn=arn:aws:bundle/my-agent,aws.agentcore.configbundle_version=2"
EXPERIMENT = (
    "aws.agentcore.gateway.routing_experiment_arn=arn%3Aexperiment,"
    "aws.agentcore.gateway.routing_experiment_variant_name=blue"
)

Said = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def said(lines: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """With DEBUG on: level and message of the contract's lines since the last call, their seconds left out."""
    logger = logging.getLogger(log.CONTRACT_LOGGER_NAME)
    before = logger.level
    monkeypatch.setattr(log, "_configuration", log._Configuration())
    log.configure(level="DEBUG")

    def read() -> list[tuple[str, str]]:
        contract = [line for line in lines() if line["logger"] == log.CONTRACT_LOGGER_NAME]
        return [(line["level"], re.sub(r"\d\.\d{3}s", "#s", line["message"])) for line in contract]

    yield read
    logger.setLevel(before)


async def test_an_invocation_in_full(agent: Agent, open_door: Open, said: Said) -> None:
    """With DEBUG on every step is a line."""

    def my_handler(payload: Any) -> Any:
        return payload

    agent.entrypoint_handler = my_handler
    await (await open_door()).invoke()

    assert said() == [
        ("DEBUG", "No config bundle ref found in request baggage"),
        ("DEBUG", "Processing invocation request"),
        ("DEBUG", "Invoking handler: my_handler"),
        ("INFO", "Invocation completed successfully (#s)"),
    ]


async def test_a_failure_in_full(agent: Agent, open_door: Open, said: Said) -> None:
    """A callable without a name is unknown."""

    class Handler:
        def __call__(self, payload: Any) -> Any:
            raise ValueError("no")

    agent.entrypoint_handler = Handler()
    await (await open_door()).invoke()

    assert said()[1:] == [
        ("DEBUG", "Processing invocation request"),
        ("DEBUG", "Invoking handler: unknown"),
        ("DEBUG", "Handler 'unknown' execution failed"),
        ("ERROR", "Invocation failed (#s)"),
    ]


async def test_a_debug_action_in_full(agent: Agent, open_door: Open, said: Said) -> None:
    """Its steps are DEBUG lines."""
    agent.debug = True
    await (await open_door()).invoke({"_agent_core_app_action": "job_status"})

    assert said()[1:] == [
        ("DEBUG", "Processing invocation request"),
        ("DEBUG", "Processing debug action: job_status"),
        ("DEBUG", "Debug action 'job_status' completed successfully"),
        ("INFO", "Debug action completed (#s)"),
    ]


async def test_ping_in_full(agent: Agent, open_door: Open, said: Said) -> None:
    """A ping is a DEBUG line."""
    await (await open_door()).get("/ping")

    assert said() == [("DEBUG", "Ping request - status: Healthy")]


async def test_what_cannot_be_written_is_said(agent: Agent, open_door: Open, lines: Any) -> None:
    """A value that has not even a ``str()`` is a warning, with the ids of its request."""

    class Unspeakable:
        def __str__(self) -> str:
            raise TypeError("no words")

    agent.entrypoint_handler = lambda payload: Unspeakable()
    answer = await (await open_door()).invoke(X_Amzn_Bedrock_AgentCore_Runtime_Request_Id="r-1")

    warning = lines()[-2]
    assert answer.json == {"error": "Serialization failed", "original_type": "Unspeakable"}
    assert (warning["level"], warning["requestId"]) == ("WARNING", "r-1")
    assert warning["message"] == "Failed to serialize object: TypeError: no words"


async def test_baggage_reaches_the_handler(agent: Agent, open_door: Open, said: Said) -> None:
    """The invocation that a handler belongs to has the bundle and the experiment; the bundle is a line."""

    def handler(payload: Any) -> Any:
        invocation = current_invocation.get()
        assert invocation is not None
        assert invocation.baggage.config_bundle is not None
        return [
            invocation.baggage.config_bundle.bundle_version,
            invocation.baggage.experiment_arn,
            invocation.baggage.experiment_variant,
        ]

    agent.entrypoint_handler = handler
    client = await open_door()
    headers = [("Baggage", BUNDLE), ("Baggage", EXPERIMENT)]

    async with client.session.post(f"{client.url}/invocations", data=b"1", headers=headers) as response:
        assert await response.json() == ["2", "arn:experiment", "blue"]
    assert said()[0] == ("INFO", "Received config bundle ref: my-agent")


async def test_baggage_that_cannot_be_read_is_none(
    agent: Agent, open_door: Open, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    """A program whose own log filter fails on a warning of the parser's has its request answered."""

    def fail(record: logging.LogRecord) -> bool:
        raise RuntimeError("a filter of the program's")

    agent.entrypoint_handler = lambda payload: payload
    logger = logging.getLogger("bedrock_agentcore.config_bundle.baggage")
    logger.addFilter(fail)
    try:
        answer = await (await open_door()).invoke(1, baggage="nonsense")
    finally:
        logger.removeFilter(fail)

    message = "Failed to parse baggage: RuntimeError: a filter of the program's — raw baggage: 'nonsense'"
    assert answer.json == 1
    assert said()[:2] == [("WARNING", message), ("DEBUG", "No config bundle ref found in request baggage")]


async def test_a_context_that_cannot_be_made_says_nothing(
    agent: Agent, open_door: Open, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler is called all the same, with a context that knows nothing of the request."""
    make = agent.make_context

    def failing(session_id: str | None, request_headers: dict[str, str] | None, request: Any) -> Any:
        if request is not None:
            raise ValueError("no context")
        return make(session_id, request_headers, request)

    monkeypatch.setattr(agent, "make_context", failing)
    agent.entrypoint_handler = lambda payload, context: repr(context)
    answer = await (await open_door()).invoke(1)

    assert answer.json == "RequestContext(session_id=None, request_headers=None, request=None)"
    assert said()[3] == ("WARNING", "Failed to build request context: ValueError: no context")


async def test_a_streams_error_can_be_kept_from_callers(agent: Agent, open_door: Open, lines: Any) -> None:
    """With error_detail off the last event has the request id in place of what was raised; the log has it."""

    def handler(payload: Any) -> Iterator[int]:
        yield 1
        raise ValueError("a secret")

    agent.entrypoint_handler = handler
    client = await open_door(rules=InvocationRules(error_detail=False))

    answer = await client.invoke(X_Amzn_Bedrock_AgentCore_Runtime_Request_Id="r-1")

    assert b"a secret" not in answer.body
    assert b"ValueError" not in answer.body
    assert b'"error": "Internal error"' in answer.body
    assert b'"requestId": "r-1"' in answer.body
    assert [line["errorMessage"] for line in lines() if line["message"] == "Error in sync streaming"] == ["a secret"]
