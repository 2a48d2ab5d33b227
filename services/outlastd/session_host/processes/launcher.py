"""Starts the processes of sessions (ports.Launcher)."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from outlastd.session_host.ports import LaunchFailed, LaunchOrder
from outlastd.session_host.processes.process import HostedProcess
from outlastd.session_host.processes.spawner_process import SpawnerProcess
from outlastd.session_host.processes.ward import WardenLost

#: Seconds that a start may take: longer than the wait for an earlier run's end (warden.LOCK_PATIENCE).
_PATIENCE = 45.0
#: A spawner that is killed may be heard of only when it is asked for something a second time.
_ATTEMPTS = 3


class ForkingLauncher:
    """Has a spawner fork a warden for every process; one that was killed is replaced by another."""

    def __init__(self) -> None:
        self._spawner: SpawnerProcess | None = None
        self._starting = asyncio.Lock()
        self._live: set[HostedProcess] = set()

    async def start(self) -> None:
        """Start the spawner, if none runs."""
        await self._running()

    async def launch(self, order: LaunchOrder) -> HostedProcess:
        """Start a process, once no process of an earlier run is left. Raises LaunchFailed."""
        try:
            async with asyncio.timeout(_PATIENCE):
                for _ in range(_ATTEMPTS - 1):
                    with suppress(WardenLost, ConnectionError):  # its warden was killed before it began, or the spawner
                        return await self._launch(order)
                return await self._launch(order)
        except TimeoutError:
            raise LaunchFailed(f"{order.name}: it was not started within {_PATIENCE:g} seconds") from None
        except (WardenLost, OSError) as error:
            raise LaunchFailed(f"{order.name}: it could not be started: {error}") from error

    async def close(self) -> None:
        """Kill what was not stopped, and end the spawner."""
        await asyncio.gather(*(process.stop(0) for process in self._live))
        if self._spawner is not None:
            await self._spawner.close()

    async def _launch(self, order: LaunchOrder) -> HostedProcess:
        spawner = await self._running()
        end, wardens_end = socket.socketpair()
        process = HostedProcess(end, order, order.argv)
        try:
            with wardens_end:
                await spawner.fork_warden(wardens_end)
            await process.give_order()
            await process.started()
        except BaseException:
            process.close()
            raise
        self._live.add(process)
        process.gone.add_done_callback(lambda _: self._live.discard(process))
        return process

    async def _running(self) -> SpawnerProcess:
        async with self._starting:
            if self._spawner is None or self._spawner.ended:
                self._spawner = await SpawnerProcess.start()
            return self._spawner
