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


async def outlast(*arguments: str, cwd: Path | None = None, **variables: str) -> Done:
    """Run ``outlast ARGUMENTS`` until it ends, with no variable of outlast's but ``variables``."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OUTLAST_", "OTEL_")) and name not in ("PORT", "PYTHONPATH", "DOCKER_CONTAINER")
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "outlast.cli",
        *arguments,
        cwd=cwd,
        env=environment | {"COLUMNS": "80"} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return Done(process.returncode or 0, out.decode(), err.decode())
