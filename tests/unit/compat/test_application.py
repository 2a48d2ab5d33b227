"""BedrockAgentCoreApp: the attributes that programs for the original know."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from outlast.compat.app import BedrockAgentCoreApp
from outlast.ping import PingStatus
from outlastd import launch


def function(payload: object) -> object:
    """Be an entrypoint."""
    return payload


class Callables:
    """Entrypoints of other kinds."""

    __slots__ = ()

    def method(self, payload: object) -> object:
        """Be an entrypoint."""
        return payload

    def __call__(self, payload: object) -> object:
        """Be an entrypoint."""
        return payload


@pytest.mark.parametrize(
    "handler",
    [function, functools.partial(function), Callables().method, Callables(), len],
    ids=["function", "partial", "method", "object", "builtin"],
)
def test_any_callable_is_an_entrypoint(handler: Callable[..., Any]) -> None:
    """It is returned as it is, and stands in ``handlers``, also where it takes no attribute."""
    app = BedrockAgentCoreApp()

    assert app.entrypoint(handler) == handler
    assert app.handlers == {"main": handler}
    assert app.entrypoint_handler == handler


def test_handlers_may_be_changed_at_any_time() -> None:
    """The front door calls what stands there."""
    app = BedrockAgentCoreApp()
    assert app.entrypoint_handler is None

    app.handlers["main"] = function

    assert app.entrypoint_handler is function
    app.entrypoint_handler = None
    assert app.handlers == {}


def test_the_entrypoint_runs_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """``handler.run(port, host)`` is ``app.run(port, host)``."""
    started: list[tuple[object, ...]] = []
    monkeypatch.setattr(launch, "run_agent", lambda app, *, port, host: started.append((app, port, host)))
    app = BedrockAgentCoreApp()

    @app.entrypoint
    def handler(payload: object) -> object:
        return payload

    handler.run(port=9000, host="127.0.0.1")  # type: ignore[attr-defined]
    handler.run()  # type: ignore[attr-defined]

    assert started == [(app, 9000, "127.0.0.1"), (app, None, None)]


def test_options_of_another_server_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One WARNING line says which of ``run``'s options have no effect."""
    monkeypatch.setattr(launch, "run_agent", lambda app, *, port, host: None)

    BedrockAgentCoreApp().run(port=9000, workers=4, reload=True)

    [line] = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (line["level"], line["options"]) == ("WARNING", ["reload", "workers"])


@pytest.mark.parametrize("options", [{"ssl_keyfile": "key.pem", "ssl_certfile": "cert.pem"}, {"uds": "/run/agent"}])
def test_an_option_that_must_not_be_passed_over_ends_the_program(options: dict[str, Any]) -> None:
    """Who asks for TLS is not served without it, nor on a port in place of a socket."""
    with pytest.raises(SystemExit, match=f"outlast: .* {', '.join(sorted(options))} .* uvicorn"):
        BedrockAgentCoreApp().run(**options)


def test_active_tasks_are_the_live_ones() -> None:
    """``_active_tasks`` shows what lives at the moment of asking, by id."""
    app = BedrockAgentCoreApp()
    active = app._active_tasks
    plain, described = app.add_async_task("one"), app.add_async_task("two", {"file": "a.csv"})

    assert list(active) == [plain, described]
    assert active[plain].keys() == {"name", "start_time"}
    assert active[described]["name"] == "two"
    assert active[described]["metadata"] == {"file": "a.csv"}
    assert 0 <= time.time() - active[plain]["start_time"] < 60
    app.complete_async_task(plain)
    assert list(active) == [described]
    assert plain not in active


def test_what_is_put_into_the_active_tasks_is_a_task_and_what_is_taken_out_has_ended() -> None:
    """A program that writes into ``_active_tasks`` is busy as long as it wants to be, under keys of its own."""
    app = BedrockAgentCoreApp()
    app._active_tasks[1] = {"name": "mine", "start_time": 0.0}
    assert (list(app._active_tasks), app._active_tasks[1]["name"]) == ([1], "mine")
    assert app.get_current_ping_status() is PingStatus.HEALTHY_BUSY
    assert app.get_async_task_info()["running_jobs"][0]["name"] == "mine"

    leaked = app.add_async_task("leaked")
    assert app._active_tasks.pop(leaked)["name"] == "leaked"
    assert app._active_tasks.pop(leaked, None) is None
    assert not app.complete_async_task(leaked)

    app._active_tasks = {2: {"name": "other"}, 3: {"name": "third"}}
    assert [task["name"] for task in app._active_tasks.values()] == ["other", "third"]
    app._active_tasks.clear()
    assert app.get_current_ping_status() is PingStatus.HEALTHY


def test_the_status_is_the_boards() -> None:
    """What is forced or set under the original's names is what /ping tells, and when it changed."""
    app = BedrockAgentCoreApp()
    began = app._last_status_update_time
    assert (app._forced_ping_status, app._ping_handler, app._websocket_handler) == (None, None, None)

    app._forced_ping_status = PingStatus.HEALTHY_BUSY

    assert app.get_current_ping_status() is app._forced_ping_status is PingStatus.HEALTHY_BUSY
    assert app._last_status_update_time > began
    app.clear_forced_ping_status()
    app._ping_handler = lambda: "HealthyBusy"
    assert app.get_current_ping_status() is PingStatus.HEALTHY_BUSY
    assert json.loads(app._handle_ping(None).body)["status"] == "HealthyBusy"


def test_the_worker_loop_is_the_agents() -> None:
    """``_worker_loop`` is None until there is one; ``_ensure_worker_loop`` makes it."""
    app = BedrockAgentCoreApp()
    assert app._worker_loop is None

    loop = app._ensure_worker_loop()

    assert loop is app._worker_loop is app.runtime.agent_loop.loop


async def test_a_handler_is_invoked_where_invocations_run() -> None:
    """``_invoke_handler`` runs a def on the call pool and an async def on the agent's loop, and raises what it does."""
    app = BedrockAgentCoreApp()

    def plain(payload: object, context: object) -> list[object]:
        return [payload, context, threading.current_thread().name]

    async def on_loop(payload: object) -> object:
        return threading.current_thread().name

    def fails(payload: object) -> None:
        raise ValueError("no")

    assert await app._invoke_handler(plain, "c", True, 1) == [1, "c", "outlast-call-1"]
    assert await app._invoke_handler(on_loop, None, False, 1) == "outlast-agent"
    with pytest.raises(ValueError, match="no"):
        await app._invoke_handler(fails, None, False, 1)


async def test_a_generator_gives_its_items() -> None:
    """Those of either kind come as an async generator, and what one raises is raised."""
    app = BedrockAgentCoreApp()

    def fails(payload: object) -> Iterator[object]:
        yield payload
        raise ValueError("no")

    async def counts(payload: object) -> Any:
        for number in range(3):
            yield {"number": number}

    assert [item async for item in await app._invoke_handler(counts, None, False, 1)] == [
        {"number": 0},
        {"number": 1},
        {"number": 2},
    ]
    items = await app._invoke_handler(fails, None, False, 1)
    assert await anext(items) == 1
    with pytest.raises(ValueError, match="no"):
        await anext(items)


def test_values_are_written_as_an_answer_has_them(caplog: pytest.LogCaptureFixture) -> None:
    """JSON as the contract has it; what cannot be written is said in its place, and in the log."""
    app = BedrockAgentCoreApp()

    class Unspeakable:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert app._safe_serialize_to_json_string({"a": {1}}) == '{"a": [1]}'
    assert app._convert_to_sse("a\nb") == b'data: "a\\nb"\n\n'
    assert json.loads(app._safe_serialize_to_json_string(Unspeakable()))["error"] == "Serialization failed"
    assert caplog.messages == ["Failed to serialize object: RuntimeError: no words"]


async def test_a_request_of_starlettes_can_be_run_for() -> None:
    """``_build_request_context`` makes it the current one, for a route of the program's own."""
    from starlette.requests import Request

    app = BedrockAgentCoreApp()
    headers = {
        "x-amzn-bedrock-agentcore-runtime-session-id": "s-1",
        "workloadaccesstoken": "wat",
        "authorization": "Bearer b",
        "cookie": "c",
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "method": "GET", "path": "/own", "query_string": b"", "headers": pairs})

    context = await asyncio.to_thread(lambda: app._build_request_context(request))

    assert context.session_id == "s-1"
    assert context.request_headers == {"Authorization": "Bearer b"}
    assert context.request is request
