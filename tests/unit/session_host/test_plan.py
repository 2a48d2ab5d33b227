"""The commands that agents of each kind are run with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from outlastd.session_host.config import AgentConfig
from outlastd.session_host.guest_client import Endpoint
from outlastd.session_host.guests import original_agent
from outlastd.session_host.plan import make_argv, needs_port

AT_SOCKET = Endpoint(Path("/doors/s"))


def test_a_file_is_run_by_outlast_or_by_the_original_sdk() -> None:
    """With the host's own Python, or the one that the configuration names: what outlast it has is not known."""
    ours = AgentConfig(file=Path("/agent.py"))
    elsewhere = AgentConfig(file=Path("/agent.py"), python=Path("/venv/bin/python"))
    original = AgentConfig(file=Path("/agent.py"), runtime="original", python=Path("/venv/bin/python"))

    assert make_argv(ours, AT_SOCKET) == [sys.executable, "-P", "-m", "outlast.cli.guest", "/agent.py"]
    assert make_argv(elsewhere, AT_SOCKET) == ["/venv/bin/python", "-P", "-m", "outlast.cli", "run", "/agent.py"]
    assert make_argv(original, AT_SOCKET) == ["/venv/bin/python", original_agent.__file__, "/agent.py"]


@pytest.mark.parametrize(
    ("command", "argv", "port"),
    [
        (("serve", "--port={port}", "{port}"), ["serve", "--port=4711", "4711"], True),
        (("serve", "unix:{socket}"), ["serve", "unix:/doors/s"], False),
        (("serve", "{other}"), ["serve", "{other}"], True),
    ],
)
def test_a_command_says_where_it_is_told_the_address(command: tuple[str, ...], argv: list[str], port: bool) -> None:
    """A command that names neither finds the port in PORT."""
    agent = AgentConfig(command=command)

    assert needs_port(agent) is port
    assert make_argv(agent, Endpoint(port=4711) if port else AT_SOCKET) == argv
