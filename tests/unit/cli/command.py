"""Runs the ``outlast`` command."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


async def start(*arguments: str, cwd: str | Path | None = None, **variables: str) -> asyncio.subprocess.Process:
    """Start ``outlast ARGUMENTS`` with no variable of outlast's but ``variables``."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "outlast.cli",
        *arguments,
        cwd=cwd,
        env=environment() | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> Done:
    """Wait for the end of a command."""
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return Done(process.returncode or 0, out.decode(), err.decode())


async def outlast(*arguments: str, cwd: str | Path | None = None, **variables: str) -> Done:
    """Run ``outlast ARGUMENTS`` until it ends, with no variable of outlast's but ``variables``."""
    return await ended(await start(*arguments, cwd=cwd, **variables))


def environment() -> dict[str, str]:
    """Return the variables of this process without outlast's."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OUTLAST_", "OTEL_")) and name not in ("PORT", "PYTHONPATH", "DOCKER_CONTAINER")
    }
    return inherited | {"COLUMNS": "80"}
