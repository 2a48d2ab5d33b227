"""Signals, where the program has to do with them itself."""

from __future__ import annotations

import signal

import pytest

from .conftest import Launcher


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_handler_of_the_programs_own_is_called_at_the_end(launch: Launcher, number: signal.Signals) -> None:
    """Once the agent has stopped, the program's handler gets the signal, and says how the process ends."""
    agent = launch.ready("own_signals.py", OWN_HANDLERS="1")

    agent.signal(number)

    assert agent.wait() == 7
    assert agent.output == [f"left by {number.name}"]


def test_a_signal_to_a_forked_child_does_not_stop_the_agent(launch: Launcher) -> None:
    """`multiprocessing.Pool` ends its children by SIGTERM, at once: they die of it, and the agent goes on."""
    agent = launch.ready("own_signals.py", PYTHONWARNINGS="ignore")

    assert [agent.invoke({}).json for _ in range(30)] == [[1, 2]] * 30

    assert agent.stop() == 0
    assert agent.output == ["after run"]
