"""What the tests of processes start, and how they learn what becomes of it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from outlastd.session_host.ports import LaunchOrder, ProcessLimits
from outlastd.session_host.processes.launcher import ForkingLauncher
from outlastd.session_host.processes.process import HostedProcess

from ....acceptance.hosting.processes import below, state

#: Seconds that anything may take before it counts as never happening.
PATIENCE = 30.0

#: A daemon: it has left its parent, its session and its group, and ignores SIGTERM. It writes its id to stdout.
DAEMON = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        os.closerange(0, 3)
        time.sleep(1000)
    os._exit(0)
os.wait()
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    return state(pid) not in ("", "Z")


async def until(condition: Callable[[], object]) -> None:
    """Look again and again until something holds: for what tells nobody when it changes."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Stage:
    """A launcher, and a folder that any user may enter."""

    def __init__(self, launcher: ForkingLauncher, folder: Path) -> None:
        self.launcher = launcher
        self.folder = folder
        self.fifo = folder / "fifo"

    @property
    def spawner(self) -> int:
        """The process that forks the wardens."""
        spawner = self.launcher._spawner
        assert spawner is not None
        return spawner.pid

    def order(
        self,
        *argv: str,
        name: str = "session",
        environment: dict[str, str] | None = None,
        limits: ProcessLimits | None = None,
        uid: int | None = None,
    ) -> LaunchOrder:
        """Return an order to start something; sessions of one name do not overlap."""
        variables = {"PATH": os.environ["PATH"], "FIFO": str(self.fifo)}
        lock = self.folder / f"{name}.lock"
        limits = limits or ProcessLimits()
        return LaunchOrder(name, argv, variables | (environment or {}), self.folder, lock, uid, uid, limits)

    async def shell(self, script: str, name: str = "session") -> HostedProcess:
        """Start a script of the shell."""
        return await self.launcher.launch(self.order("/bin/sh", "-c", script, name=name))

    async def python(self, program: str, uid: int | None = None) -> HostedProcess:
        """Start a program in Python."""
        return await self.launcher.launch(self.order(sys.executable, "-I", "-S", "-c", program, uid=uid))

    async def heard(self) -> str:
        """Return what processes write to $FIFO, up to the moment in which none has it open."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.to_thread(self.fifo.read_text)

    def warden(self, process: HostedProcess) -> int:
        """Return the process that a process was started by."""
        return int((Path("/proc") / str(process.pid) / "stat").read_text().rpartition(")")[2].split()[1])

    async def until_settled(self) -> None:
        """Wait until nothing is left below the spawner."""
        await until(lambda: not below(self.spawner))


@asynccontextmanager
async def running_stage(folder: Path) -> AsyncIterator[Stage]:
    """Run a launcher, and prove at the end that nothing of it is left."""
    launcher = ForkingLauncher()
    await launcher.start()
    stage = Stage(launcher, folder)
    os.mkfifo(stage.fifo)
    stage.fifo.chmod(0o666)
    try:
        yield stage
        spawner, started = stage.spawner, below(stage.spawner)
    finally:
        await launcher.close()
    assert not [pid for pid in (spawner, *started) if state(pid)]
