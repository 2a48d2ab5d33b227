"""A ping handler of the program's own."""

from __future__ import annotations

import pytest

from .conftest import Launcher


@pytest.mark.parametrize("program", ["custom_ping.py", "custom_ping_async.py"])
def test_a_custom_ping_decides(launch: Launcher, program: str) -> None:
    """A def that returns the enum and an async def that returns a string both decide what /ping says."""
    agent = launch.ready(program)
    assert agent.ping() == "Healthy"
    agent.invoke({"busy": True})
    assert agent.ping() == "HealthyBusy"
    agent.invoke({"busy": False})
    assert agent.ping() == "Healthy"
