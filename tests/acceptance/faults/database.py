"""The PostgreSQL of a cluster, which can be struck like its other members."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress

from ...postgres_server import PostgresServer


class Database:
    """A server of the cluster's own."""

    name = "postgresql"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._paused: list[int] = []

    async def start(self) -> None:
        """Start the server, which recovers what it has to."""
        await asyncio.to_thread(self._server.start)

    async def kill(self) -> None:
        """Kill the server; those that work for it notice, and end."""
        await asyncio.to_thread(self._server.kill)

    async def stop(self) -> None:
        """Stop the server in order; whoever is connected is cut off."""
        await asyncio.to_thread(self._server.stop)

    def pause(self) -> None:
        """Stop the server, and all that work for it, where they are."""
        self._paused = [self._server.pid, *_children(self._server.pid)]
        _send(self._paused, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server go on."""
        _send(self._paused, signal.SIGCONT)
        self._paused = []


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in listed.stdout.split()]


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
