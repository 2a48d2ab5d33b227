"""A process of a cluster, which can be struck, and started again at the same addresses."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

from ..agent_process import OutlastProcess
from .history import History
from .proxy import Proxy


class Member:
    """An agent or a task manager, and the proxies that stand before it.

    Every method that waits does so on a thread: the loop that calls it has proxies to run.
    """

    def __init__(
        self, name: str, history: History, begin: Callable[[], OutlastProcess], serves: dict[str, list[Proxy]]
    ) -> None:
        """``begin`` starts a process; ``serves`` are the proxies to it, by what of its ready line is the address."""
        self.name = name
        #: Every process so far, the newest last.
        self.processes: list[OutlastProcess] = []
        self._history = history
        self._begin = begin
        self._serves = serves

    @property
    def process(self) -> OutlastProcess:
        """The newest process."""
        return self.processes[-1]

    async def start(self) -> None:
        """Start a process, and lead the proxies to it once it is ready."""
        self.processes.append(await asyncio.to_thread(self._begin))
        ready = await asyncio.to_thread(self.process.ready)
        for key, proxies in self._serves.items():
            for proxy in proxies:
                proxy.server = str(ready[key]).removeprefix("http://")
        self._history.write("started", who=self.name, pid=self.process.pid)

    async def kill(self) -> None:
        """End the process at once."""
        await asyncio.to_thread(self.process.kill)

    async def stop(self) -> None:
        """Ask the process to stop, and wait until it has; one that does not is killed, and is a fault of its own."""
        self.process.signal(signal.SIGTERM)
        try:
            code = await asyncio.to_thread(self.process.wait)
        except subprocess.TimeoutExpired:
            self._history.write("hung", who=self.name, pid=self.process.pid)
            await self.kill()
            return
        self._history.write("stopped", who=self.name, pid=self.process.pid, code=code)

    def pause(self) -> None:
        """Stop the process where it is."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process go on."""
        with suppress(ProcessLookupError):
            self.process.signal(signal.SIGCONT)
