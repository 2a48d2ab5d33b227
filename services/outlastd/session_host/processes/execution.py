"""A command that runs beside the agent of a session (ports.Execution)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

from outlastd.session_host.ports import Exit, LaunchOrder, Output
from outlastd.session_host.processes.message import CHUNK
from outlastd.session_host.processes.ward import Ward

_Name = Literal["stdout", "stderr"]
_NAMES: tuple[_Name, ...] = ("stdout", "stderr")


class HostedExecution:
    """A command with a warden of its own.

    Its output is read only while somebody asks for it: a command that writes more than its pipes hold waits.
    """

    def __init__(self, order: LaunchOrder, argv: Sequence[str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timed_out = False
        self._being_killed = False
        self._killing: asyncio.Task[Exit] | None = None
        self._reading = False
        #: What is still open: our ends of the outputs, and what the warden is given.
        self._outputs: dict[_Name, int] = {}
        self._passed = ExitStack()
        self._given: list[int] = []
        with ExitStack() as undo:
            undo.callback(self._close_outputs)
            undo.callback(self._passed.close)
            end, other = socket.socketpair()
            undo.callback(end.close)
            self._passed.callback(other.close)
            self._given.append(other.fileno())
            for name in _NAMES:
                self._outputs[name], given = os.pipe()
                os.set_blocking(self._outputs[name], False)
                self._passed.callback(os.close, given)
                self._given.append(given)
            undo.pop_all()
        self._ward = Ward(end, order, argv)
        self._ward.ended.add_done_callback(lambda _: self._leave())

    @contextmanager
    def wardens_ends(self) -> Iterator[list[int]]:
        """Give what the command's warden is sent, and close it here afterwards."""
        with self._passed:
            yield self._given

    async def started(self, timeout: float) -> None:
        """Return when the command runs; it may for ``timeout`` seconds. Raises LaunchFailed, and WardenLost."""
        await self._ward.started()
        self._timer = self._loop.call_later(timeout, self._end_it)

    async def output(self) -> AsyncIterator[Output]:
        """Give what the command writes, until it and all that it started have closed their outputs, or it is over."""
        self._reading = True
        try:
            while self._outputs:
                over = self._ward.gone.done()  # before the last look
                found = False
                for name in list(self._outputs):
                    if data := self._read(name):
                        found = True
                        yield name, data
                if over and not found:
                    break
                if self._outputs and not found:
                    await self._until_readable()
        finally:
            self._reading = False
            self._close_outputs()
            self._leave()

    async def wait(self) -> Exit | None:
        """Return how it ended; None when it was killed because its time was up."""
        ended = await asyncio.shield(self._ward.ended)
        if self._timed_out:
            await asyncio.shield(self._ward.gone)
            return None
        return ended

    async def kill(self) -> None:
        """End it and all that it started."""
        self._being_killed = True
        await self._ward.stop(0)
        self.close()

    def close(self) -> None:
        """Let go; whoever reads the output gets what is in it."""
        if self._timer is not None:
            self._timer.cancel()
        self._ward.close()
        if not self._reading:
            self._close_outputs()

    def _end_it(self) -> None:
        self._being_killed = True
        self._timed_out = not self._ward.ended.done()
        self._killing = self._loop.create_task(self._ward.stop(0))

    def _leave(self) -> None:
        """Let go once the command has ended and its outputs are read: what it left running belongs to the session."""
        if self._ward.ended.done() and not self._outputs and not self._being_killed:
            self.close()

    def _read(self, name: _Name) -> bytes:
        try:
            data = os.read(self._outputs[name], CHUNK)
        except (BlockingIOError, InterruptedError):
            return b""
        if not data:
            os.close(self._outputs.pop(name))
        return data

    async def _until_readable(self) -> None:
        woken = self._loop.create_future()

        def wake(_: object = None) -> None:
            if not woken.done():
                woken.set_result(None)

        ends = list(self._outputs.values())
        self._ward.gone.add_done_callback(wake)
        for end in ends:
            self._loop.add_reader(end, wake)
        try:
            await woken
        finally:
            self._ward.gone.remove_done_callback(wake)
            for end in ends:
                self._loop.remove_reader(end)

    def _close_outputs(self) -> None:
        while self._outputs:
            os.close(self._outputs.popitem()[1])
