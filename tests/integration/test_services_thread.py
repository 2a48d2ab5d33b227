"""The services on a thread of their own, asked to stop by whoever serves the app."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlast import App
from outlastd.launch.services_thread import ServicesThread


@pytest.fixture(autouse=True)
def _no_blocking_call_on_the_loop() -> None:
    """Let the services start, which reads settings and opens a store on a loop that has nothing else to do yet."""


def test_whoever_has_the_door_can_stop_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that leaves its lifespan as soon as it has entered it is not left waiting."""
    monkeypatch.setenv("OUTLAST_STORE", f"sqlite:///{tmp_path}/tasks.db")
    monkeypatch.setenv("OUTLAST_TASK_MANAGER_LISTEN", "127.0.0.1:0")
    services = ServicesThread(App(), None)
    services.lifespan.left.set_result(None)
    services.door.add_done_callback(lambda door: services.ask_to_stop())

    services.start()

    services.ended.result(30)
