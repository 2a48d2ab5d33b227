"""The services on a thread of their own, asked to stop by whoever serves the app."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast import App
from outlast.core.operation import Finish, Start
from outlast.core.state import TaskState
from outlastd.launch.services_thread import ServicesThread


@pytest.fixture(autouse=True)
def _no_blocking_call_on_the_loop() -> None:
    """Let the services start, which reads settings and opens a store on a loop that has nothing else to do yet."""


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the services keep their files here, and listen on any port."""
    monkeypatch.setenv("OUTLAST_STORE", f"sqlite:///{tmp_path}/tasks.db")
    monkeypatch.setenv("OUTLAST_TASK_MANAGER_LISTEN", "127.0.0.1:0")


def test_whoever_has_the_door_can_stop_the_services() -> None:
    """A server that leaves its lifespan as soon as it has entered it is not left waiting."""
    services = ServicesThread(App(), None)
    services.lifespan.left.set_result(None)
    services.door.add_done_callback(lambda door: services.ask_to_stop())

    services.start()

    services.ended.result(30)


def test_a_task_manager_of_its_own_is_told_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's stream needs no gRPC, and everything is answered when the services have stopped."""
    monkeypatch.delattr("outlast.tasks.stream.WorkerServiceStub")
    app = App()
    services = ServicesThread(app, None)
    services.lifespan.left.set_result(None)
    services.start()
    services.door.result(30)
    ledger = app.runtime.ledger
    ledger.finish(ledger.start(Start("work")), Finish(TaskState.COMPLETED))

    services.ask_to_stop()

    services.ended.result(30)
    assert ledger.answered == ledger.watermark > 0
