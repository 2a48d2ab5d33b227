"""The spawner, as the host sees it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

from outlastd.session_host.processes.channel import Channel

_FILE = Path(__file__).with_name("spawner.py")
#: Seconds that it has to end by itself.
_PATIENCE = 5.0


class SpawnerProcess:
    """A running spawner. It inherits the outputs of the host, and nothing else."""

    def __init__(self, end: socket.socket, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._channel = Channel(end, lambda _: None, self._note_end)
        self._waiting: asyncio.Task[int] | None = None

    @classmethod
    async def start(cls) -> SpawnerProcess:
        """Start one."""
        end, other = socket.socketpair()
        try:
            with other:
                popen = await asyncio.to_thread(_run, other)
        except BaseException:
            end.close()
            raise
        return cls(end, popen)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._popen.pid

    @property
    def ended(self) -> bool:
        """Whether it takes no more work."""
        return self._channel.closed

    async def fork_warden(self, end: socket.socket) -> None:
        """Have a warden forked that reads its order from a socket. Raises ConnectionError when there is no spawner."""
        try:
            await self._channel.send(b"\0", [end.fileno()])
        except ConnectionError:  # nothing has told us yet that it was killed
            if not self.ended:
                self._channel.close()
                self._note_end()
            raise

    async def close(self) -> None:
        """Let it end, and wait for that; killed when it takes too long."""
        self._channel.close()
        if self._waiting is not None:
            await self._waiting
        else:
            await asyncio.to_thread(self._wait)

    def _note_end(self) -> None:
        self._waiting = asyncio.get_running_loop().create_task(asyncio.to_thread(self._wait))

    def _wait(self) -> int:
        try:
            return self._popen.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()


def _run(standard_input: socket.socket) -> subprocess.Popen[bytes]:
    # Not the host's variables: a warden's memory is that of the spawner, and sessions may look at it that have no user
    # of their own. A session of the spawner's own keeps it from Ctrl-C in the host's terminal.
    nothing: dict[str, str] = {}
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-X", "utf8", str(_FILE)],
        stdin=standard_input.fileno(),
        env=nothing,
        cwd="/",
        start_new_session=True,
    )
