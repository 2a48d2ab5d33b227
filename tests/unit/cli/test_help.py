"""Help that teaches, and errors of use."""

from __future__ import annotations

import subprocess
import sys

import pytest

from outlast import __version__

from .command import outlast


async def test_every_option_of_run_names_its_variable() -> None:
    """The help shows each option with its variable, uncut, and examples."""
    done = await outlast("run", "--help")

    for option, variable in {
        "--port": "OUTLAST_PORT, PORT",
        "--host": "OUTLAST_HOST",
        "--task-manager ": "OUTLAST_TASK_MANAGER",
        "--task-manager-listen": "OUTLAST_TASK_MANAGER_LISTEN",
        "--store": "OUTLAST_STORE",
        "--agent": "OUTLAST_AGENT",
    }.items():
        assert option in done.out
        assert f"[{variable}]" in done.out
    assert "outlast run agent.py --port 9000" in done.out


async def test_the_version_is_the_packages() -> None:
    """``--version`` prints one line."""
    done = await outlast("--version")

    assert (done.code, done.out) == (0, f"outlast {__version__}\n")


async def test_nothing_asked_is_help() -> None:
    """``outlast`` alone lists the commands."""
    done = await outlast()

    assert all(command in done.err for command in ("run", "host", "task-manager", "compat-path", "tasks"))


@pytest.mark.parametrize(
    "arguments",
    [("run", "agent.py", "--nope"), ("run", "agent.py", "--port", "abc"), ("nope",), ("run",)],
)
async def test_what_cannot_be_meant_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """An unknown option or command, a value of the wrong kind, a missing file name."""
    done = await outlast(*arguments)

    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err


def test_the_command_line_loads_what_a_command_needs_only() -> None:
    """Help and completion answer without loading gRPC, the settings or a table."""
    program = """
import sys
import outlast.cli.commands
heavy = {"grpc", "aiohttp", "cattrs", "structlog", "opentelemetry", "rich.table", "google"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
