"""BedrockAgentCoreContext: what it reads and sets is the current invocation."""

from __future__ import annotations

import json
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

import pytest

from outlast.baggage import Baggage, ConfigBundleRef
from outlast.compat.app import BedrockAgentCoreApp
from outlast.compat.context import BedrockAgentCoreContext as Context
from outlast.context import Invocation, current_invocation
from outlast.core.errors import InvalidField

REF = ConfigBundleRef("arn:aws:bedrock-agentcore:us-west-2:123456789012:bundle/b-1", "2")


def test_the_context_is_the_invocations() -> None:
    """The getters answer for the invocation that the caller runs for."""
    headers = {"x-custom": "1"}
    current_invocation.set(
        Invocation(
            "r-1",
            "s-1",
            credentials={"WorkloadAccessToken": "old", "OAuth2CallbackUrl": "http://localhost/cb"},
            request_headers=headers,
            baggage=Baggage(REF, "arn:experiment", "blue"),
        )
    )

    assert Context.get_request_id() == "r-1"
    assert Context.get_session_id() == "s-1"
    assert Context.get_workload_access_token() == "old"
    assert Context.get_oauth2_callback_url() == "http://localhost/cb"
    assert Context.get_request_headers() == headers
    assert Context.get_config_bundle_ref() == REF
    assert (Context.get_routing_experiment_arn(), Context.get_routing_experiment_variant()) == (
        "arn:experiment",
        "blue",
    )


def test_outside_of_an_invocation_nothing_is_known() -> None:
    """Every getter answers None, and the configuration is empty, as in the original."""
    getters = [name for name in dir(Context) if name.startswith("get_") and name != "get_config_bundle"]

    assert len(getters) == 8
    assert {getattr(Context, name)() for name in getters} == {None}
    assert Context.get_config_bundle() == {}


def test_the_newer_token_header_wins() -> None:
    """With both headers, Identity-WAT is the token (contract 1.5)."""
    credentials = {"WorkloadAccessToken": "old", "X-Amz-Bedrock-AgentCore-Identity-WAT": "new"}
    current_invocation.set(Invocation("r-1", credentials=credentials))

    assert Context.get_workload_access_token() == "new"


@pytest.mark.parametrize("invocation", [None, Invocation("r-0", "s-0", credentials={"WorkloadAccessToken": "old"})])
def test_what_is_set_is_what_is_got(invocation: Invocation | None) -> None:
    """Every setter sets its own value and nothing else, inside of an invocation and outside."""
    current_invocation.set(invocation)

    Context.set_workload_access_token("token")
    Context.set_oauth2_callback_url("http://localhost/cb")
    Context.set_request_headers({"x-custom": "1"})
    Context.set_routing_experiment("arn:experiment", "blue")
    Context.set_config_bundle_ref(REF)
    Context.set_request_context("r-1", "s-1")

    assert Context.get_workload_access_token() == "token"
    assert Context.get_oauth2_callback_url() == "http://localhost/cb"
    assert Context.get_request_headers() == {"x-custom": "1"}
    assert (Context.get_routing_experiment_arn(), Context.get_routing_experiment_variant()) == (
        "arn:experiment",
        "blue",
    )
    assert Context.get_config_bundle_ref() == REF
    assert (Context.get_request_id(), Context.get_session_id()) == ("r-1", "s-1")


def test_a_value_can_be_taken_back() -> None:
    """The original's tests set None, and so may programs."""
    Context.set_request_context("r-1", "s-1")
    Context.set_routing_experiment("arn:experiment", "blue")
    Context.set_config_bundle_ref(REF)

    Context.set_request_context("r-2", None)
    Context.set_routing_experiment(None, None)
    Context.set_config_bundle_ref(None)

    assert (Context.get_request_id(), Context.get_session_id()) == ("r-2", None)
    assert Context.get_routing_experiment_arn() is None
    assert Context.get_config_bundle_ref() is None


def test_tasks_follow_what_a_program_sets() -> None:
    """A task that starts afterwards is of the request and the session that were set, and the invocation's still."""
    invocation = Invocation("r-0", "s-0")
    current_invocation.set(invocation)
    app = BedrockAgentCoreApp()

    Context.set_request_context("r-1", "s-1")
    task_id = app.add_async_task("work")

    [task] = app.runtime.ledger.live()
    assert (task.start.request_id, task.start.session_id) == ("r-1", "s-1")
    assert invocation.task_ids == [task_id]


def test_log_lines_follow_what_a_program_sets(capsys: pytest.CaptureFixture[str]) -> None:
    """A line that is written afterwards names the request that was set."""
    app = BedrockAgentCoreApp()
    Context.set_request_context("r-1", "s-1")

    app.logger.info("hello")

    [line] = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (line["requestId"], line["sessionId"]) == ("r-1", "s-1")


def test_an_id_that_no_task_could_keep_is_refused() -> None:
    """What would poison a batch of operations does not get in."""
    with pytest.raises(InvalidField, match="session_id"):
        Context.set_request_context("r-1", "line\nbreak")


def test_what_is_set_in_another_context_is_not_seen() -> None:
    """A setter reaches its own context only."""
    copy_context().run(Context.set_workload_access_token, "elsewhere")

    assert Context.get_workload_access_token() is None


async def test_a_request_sees_nothing_of_another() -> None:
    """What a handler sets ends with its invocation, be it a def, an async def or a generator."""
    app = BedrockAgentCoreApp()

    def seen(payload: dict[str, Any]) -> list[str | None]:
        before = [Context.get_workload_access_token(), Context.get_session_id()]
        Context.set_workload_access_token(payload["token"])
        Context.set_request_context("r-1", payload["token"])
        return before

    async def seen_async(payload: dict[str, Any]) -> list[str | None]:
        return seen(payload)

    async def items(payload: dict[str, Any]) -> Any:
        yield seen(payload)

    async def ask(token: str) -> Any:
        async def body() -> dict[str, str]:
            return {"token": token}

        response = await app._handle_invocation(SimpleNamespace(headers={}, json=body))
        if hasattr(response, "body"):
            return json.loads(response.body)
        [event] = [piece async for piece in response.body_iterator]
        return json.loads(event.removeprefix(b"data: "))

    for handler in (seen, seen_async, items):
        app.entrypoint(handler)
        assert [await ask("first"), await ask("second")] == [[None, None], [None, None]]
