"""A process of a session (ports.GuestProcess)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from outlastd.session_host.ports import Exit, LaunchFailed
from outlastd.session_host.processes.execution import HostedExecution
from outlastd.session_host.processes.ward import Ward, WardenLost

#: Seconds in which what a killed warden has left is to be gone, and between two looks.
_PATIENCE = 5.0
_PAUSE = 0.02


class HostedProcess(Ward):
    """The agent of a session."""

    _killing: asyncio.Task[None] | None = None

    async def wait(self) -> Exit:
        """Return how the process ended, once nothing that it started is left either. Any number may wait."""
        return await asyncio.shield(self.gone)

    async def execute(self, argv: Sequence[str], timeout: float) -> HostedExecution:
        """Start a command, which is killed after ``timeout`` seconds; its output is read to its end, or it is killed.

        Raises:
            LaunchFailed: it cannot be started, or the session has ended.
        """
        try:
            execution = HostedExecution(self.order, argv)
        except OSError as error:
            raise LaunchFailed(f"{self.order.name}: no command can be started: {error.strerror}") from None
        try:
            with execution.wardens_ends() as ends:
                await self.say({"execute": list(argv)}, ends)
            await execution.started(timeout)
        except BaseException as error:
            execution.close()
            if isinstance(error, WardenLost):
                raise LaunchFailed(f"{self.order.name}: the session has ended") from None
            raise
        return execution

    def _note_lost(self) -> None:
        if self.pid:
            self._killing = asyncio.get_running_loop().create_task(self._kill_rest())
        else:
            self._finish()

    async def _kill_rest(self) -> None:
        """End what is left when the warden was killed.

        The kernel kills the agent itself, and the spawner whatever is below it; where neither can, this ends its group.
        """
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while True:
                    os.killpg(self.pid, signal.SIGKILL)
                    await asyncio.sleep(_PAUSE)
        self._finish()
