"""What a session's process is started with, and where it answers then."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from outlastd.session_host.config import AgentConfig
from outlastd.session_host.guest_client import Endpoint
from outlastd.session_host.guests import original_agent
from outlastd.session_host.ports import LaunchOrder


@dataclass(frozen=True, slots=True)
class Plan:
    """A process to start, and where it will answer."""

    order: LaunchOrder
    endpoint: Endpoint


def needs_port(agent: AgentConfig) -> bool:
    """Tell whether an agent listens on a port: a command that does not say that it serves a socket."""
    return agent.file is None and not any("{socket}" in word for word in agent.command)


def make_argv(agent: AgentConfig, endpoint: Endpoint) -> list[str]:
    """Return the command that runs an agent at an endpoint."""
    if agent.file is None:
        placed = {"{port}": str(endpoint.port), "{socket}": str(endpoint.socket)}
        words = list(agent.command)
        for placeholder, value in placed.items():
            words = [word.replace(placeholder, value) for word in words]
        return words
    python = str(agent.python or Path(sys.executable))
    if agent.runtime == "original":
        return [python, original_agent.__file__, str(agent.file)]
    # Another Python may have another release of outlast, of which only the command line is known.
    command = ["outlast.cli.guest"] if agent.python is None else ["outlast.cli", "run"]
    # -P: modules are not looked for in the folder that the process starts in, before it is known what runs there.
    return [python, "-P", "-m", *command, str(agent.file)]
