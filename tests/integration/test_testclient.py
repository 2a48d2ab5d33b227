"""Starlette's TestClient around an App: as users test their agents, with its ``with`` and without."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from outlast import App
from outlast.compat.app import BedrockAgentCoreApp

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer versions want another httpx
    from starlette.testclient import TestClient

#: How the names of threads begin that belong to one app.
OF_AN_APP = ("outlast-agent", "outlast-tasks", "outlast-call")
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"

MakeApp = Callable[..., App]


@pytest.fixture(autouse=True)
def _no_blocking_call_on_the_loop() -> None:
    """Let the services start, which reads settings and opens a store on a loop that has nothing else to do yet."""


@pytest.fixture(params=[App, BedrockAgentCoreApp], ids=["own", "original's"])
def make_app(request: pytest.FixtureRequest) -> MakeApp:
    """Make apps of the one kind and of the other."""
    made: MakeApp = request.param
    return made


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OUTLAST_STORE", f"sqlite:///{tmp_path}/tasks.db")
    monkeypatch.setenv("OUTLAST_TASK_MANAGER_LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("OUTLAST_SHUTDOWN_GRACE", "0.5")


def answering(app: App) -> App:
    """Give an app an entrypoint that answers with what it is told."""

    @app.entrypoint
    async def handler(payload: Any, context: Any) -> Any:
        if payload == "fail":
            raise ValueError("on purpose")
        return {"payload": payload, "session": context.session_id, "thread": threading.current_thread().name}

    return app


@pytest.mark.parametrize("entered", [False, True], ids=["bare", "with"])
def test_an_invocation(make_app: MakeApp, entered: bool) -> None:
    """It is answered, on the agent's loop, with and without ``with``."""
    client = TestClient(answering(make_app()))
    with client if entered else contextlib.nullcontext():
        answer = client.post("/invocations", json={"a": 1}, headers={SESSION: "s"})

        assert answer.status_code == 200
        assert answer.json() == {"payload": {"a": 1}, "session": "s", "thread": "outlast-agent"}
        assert client.get("/ping").json()["status"] == "Healthy"


@pytest.mark.parametrize("entered", [False, True], ids=["bare", "with"])
def test_errors_are_answers(make_app: MakeApp, entered: bool) -> None:
    """What a handler raises is a 500 and not raised to the test; so are the other refusals."""
    client = TestClient(answering(make_app()))
    with client if entered else contextlib.nullcontext():
        assert _told(client.post("/invocations", json="fail")) == (500, {"error": "on purpose"})
        assert client.post("/invocations", content=b"{").status_code == 400
        assert client.get("/invocations").status_code == 405
        assert client.get("/nothing").status_code == 404
        assert _told(TestClient(make_app()).post("/invocations", json={})) == (500, {"error": "No entrypoint defined"})


@pytest.mark.parametrize("asynchronous", [False, True], ids=["def", "async def"])
@pytest.mark.parametrize("entered", [False, True], ids=["bare", "with"])
def test_a_stream(make_app: MakeApp, entered: bool, asynchronous: bool) -> None:
    """Its events come in order, to the end, and an error in the middle is the last one."""
    app = make_app()

    def items(payload: Any) -> Any:
        yield from payload
        raise ValueError("broke")

    async def async_items(payload: Any) -> Any:
        for item in items(payload):
            yield item

    app.entrypoint(async_items if asynchronous else items)
    client = TestClient(app)
    with (
        client if entered else contextlib.nullcontext(),
        client.stream("POST", "/invocations", json=["a", {"b": 1}]) as answer,
    ):
        events = [line for line in answer.iter_lines() if line]

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert events[:2] == ['data: "a"', 'data: {"b": 1}']
    assert events[2].startswith('data: {"error": "broke", "error_type": "ValueError"')
    assert len(events) == 3


def test_tasks_are_recorded_with_a_lifespan(make_app: MakeApp, tmp_path: Path) -> None:
    """Inside a ``with`` the agent is whole: a task is on record, and its result can be asked for."""
    app = make_app()

    @app.async_task
    async def work(value: int) -> int:
        return value * 2

    @app.entrypoint
    async def handler(payload: Any) -> Any:
        return {"task": work.start(payload)}

    with TestClient(app) as client:
        told = client.post("/invocations", json=21, headers={SESSION: "s"}).json()["task"]
        ended = client.get(f"/tasks/{told['taskId']}/wait", headers={SESSION: "s"}).json()

    assert (ended["state"], ended["result"]) == ("COMPLETED", 42)
    assert (tmp_path / "tasks.db").exists()


def test_tasks_run_without_a_lifespan(make_app: MakeApp, tmp_path: Path) -> None:
    """Without a ``with`` tasks run too and make /ping busy; nothing is recorded, and no file is made."""
    app = make_app()
    gate = threading.Event()

    @app.async_task
    async def work() -> None:
        await asyncio.to_thread(gate.wait, 30)

    @app.entrypoint
    async def handler(payload: Any) -> str:
        work.start()
        return "started"

    client = TestClient(app)
    assert client.post("/invocations", json={}).json() == "started"
    assert client.get("/ping").json()["status"] == "HealthyBusy"
    gate.set()

    assert list(tmp_path.iterdir()) == []


def test_the_lifespan_is_run_for_each_with(make_app: MakeApp) -> None:
    """A ``with`` enters and leaves the app's own lifespan, each time; a client without one does neither."""
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, str]]:
        events.append("entered")
        yield {"pool": "open"}
        events.append("left")

    app = make_app(lifespan=lifespan)

    @app.entrypoint
    def handler(payload: Any, context: Any) -> Any:
        return context.request.scope["state"].get("pool")

    assert TestClient(app).post("/invocations", json={}).json() is None
    assert events == []
    for _ in range(2):
        with TestClient(app) as client:
            assert client.post("/invocations", json={}).json() == "open"
    assert events == ["entered", "left", "entered", "left"]


def test_a_lifespan_that_fails_is_raised(make_app: MakeApp) -> None:
    """What the lifespan raises at its start comes out of the ``with``; the app can be entered again after that."""
    failing = True

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        if failing:
            raise RuntimeError("no database here")
        yield

    app = answering(make_app(lifespan=lifespan))
    with pytest.raises(RuntimeError, match="no database here"), TestClient(app):
        pytest.fail("it was entered")

    failing = False
    with TestClient(app) as client:
        assert client.post("/invocations", json=1).status_code == 200


def test_several_apps_at_once(make_app: MakeApp) -> None:
    """Each app answers for itself, whichever was entered and in whatever order."""
    apps = [make_app() for _ in range(3)]
    for number, app in enumerate(apps):
        app.entrypoint(lambda payload, number=number: number)

    with TestClient(apps[0]) as first, TestClient(apps[1]) as second:
        bare = TestClient(apps[2])
        answers = [client.post("/invocations", json={}).json() for client in (bare, second, first, bare)]

    assert answers == [2, 1, 0, 2]


def test_the_settings_hold_without_a_lifespan_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit and the silence about errors are the environment's, whether or not anything is recorded."""
    monkeypatch.setenv("OUTLAST_ERROR_DETAIL", "off")
    monkeypatch.setenv("OUTLAST_MAX_BODY_BYTES", "10")
    app = App()

    @app.entrypoint
    def handler(payload: object) -> object:
        raise ValueError("a secret")

    client = TestClient(app)
    assert client.post("/invocations", json=1).json()["error"] == "Internal error"
    assert client.post("/invocations", json="longer than ten").status_code == 413


@pytest.mark.parametrize("entered", [False, True], ids=["bare", "with"])
def test_an_app_leaves_no_threads(make_app: MakeApp, entered: bool) -> None:
    """What an app of a test runs on ends with it: the threads of its handlers and of its loops."""
    before = set(threading.enumerate())

    def use() -> None:
        client = TestClient(answering(make_app()))
        with client if entered else contextlib.nullcontext():
            assert client.post("/invocations", json=1).status_code == 200

    for _ in range(3):
        use()
    left = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith(OF_AN_APP)]
    use()  # the newest of the original's apps is known to its module
    gc.collect()

    for thread in left:
        thread.join(30)
    assert [thread.name for thread in left if thread.is_alive()] == []


def test_an_app_that_nobody_knows_ends_its_tasks_first(make_app: MakeApp) -> None:
    """A task that runs keeps what it runs on, though the program has let go of the app."""
    go_on, done = threading.Event(), threading.Event()

    def start() -> None:
        @make_app().async_task
        async def work() -> None:
            await asyncio.to_thread(go_on.wait, 30)
            done.set()

        work.start()

    start()
    gc.collect()
    go_on.set()

    assert done.wait(30)


def test_the_threads_of_handlers_end_with_the_services(make_app: MakeApp) -> None:
    """An app may be entered again and again: each time leaves none behind."""
    before = set(threading.enumerate())
    app = make_app()
    app.entrypoint(lambda payload: payload)
    with TestClient(app) as client:
        assert client.post("/invocations", json=1).status_code == 200
        started = set(threading.enumerate()) - before

    left = [thread for thread in started if thread.name.startswith("outlast-call")]
    assert left != []
    for thread in left:
        thread.join(30)
    assert [thread.name for thread in left if thread.is_alive()] == []


def test_two_clients_of_one_app(make_app: MakeApp) -> None:
    """Clients that follow each other, or stand side by side, see one app with its state."""
    app = answering(make_app())
    first, second = TestClient(app), TestClient(app)

    task_id = app.add_async_task("by hand")

    assert [client.get("/ping").json()["status"] for client in (first, second)] == ["HealthyBusy"] * 2
    assert app.complete_async_task(task_id)
    assert [client.get("/ping").json()["status"] for client in (first, second)] == ["Healthy"] * 2


@pytest.mark.parametrize("entered", [False, True], ids=["bare", "with"])
def test_a_websocket(make_app: MakeApp, entered: bool) -> None:
    """A client's WebSocket talks to the app's handler."""
    app = make_app()

    @app.websocket
    async def echo(websocket: Any, context: Any) -> None:
        await websocket.accept()
        async for message in websocket.iter_json():
            await websocket.send_json({"got": message, "session": context.session_id})

    client = TestClient(app)
    with client if entered else contextlib.nullcontext(), client.websocket_connect("/ws", headers={SESSION: "s"}) as ws:
        ws.send_json({"a": 1})
        assert ws.receive_json() == {"got": {"a": 1}, "session": "s"}


def _told(answer: Any) -> tuple[int, Any]:
    return answer.status_code, answer.json()
