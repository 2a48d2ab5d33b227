"""What a warden keeps, as the host sees it: a program that it started, with all that is below it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress

from outlastd.session_host.ports import Exit, LaunchFailed, LaunchOrder
from outlastd.session_host.processes.channel import Channel
from outlastd.session_host.processes.failures import launch_failed
from outlastd.session_host.processes.message import BadMessage, Message, encode


class WardenLost(Exception):
    """A warden was gone before it had started anything."""

    def __init__(self) -> None:
        super().__init__("its warden has ended")


class Ward:
    """A program that a warden is asked to start; the warden has the other end of the socket."""

    def __init__(self, end: socket.socket, order: LaunchOrder, argv: Sequence[str]) -> None:
        self.order = order
        self._argv = argv
        self._channel = Channel(end, self._take, self._note_lost)
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[Exception | None] = loop.create_future()
        #: The process id, once it has started.
        self.pid = 0
        #: Done when the program has ended, and when nothing that it started is left either.
        self.ended: asyncio.Future[Exit] = loop.create_future()
        self.gone: asyncio.Future[Exit] = loop.create_future()

    async def started(self) -> None:
        """Return when the program runs. Raises LaunchFailed when it cannot, and WardenLost."""
        failure = await self._started
        if failure is not None:
            raise failure

    async def say(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Tell the warden something; nothing happens when it has gone. Raises LaunchFailed when it is too large."""
        try:
            data = encode(message)
        except BadMessage as error:
            raise LaunchFailed(f"{self.order.name}: what is to be started is too large: {error}") from None
        with suppress(ConnectionError):
            await self._channel.send(data, descriptors)

    async def give_order(self) -> None:
        """Tell a warden that knows nothing yet what to start. Raises LaunchFailed when that is too large."""
        order, limits = self.order, self.order.limits
        asked = {"memory": limits.memory, "open_files": limits.open_files, "processes": limits.processes}
        given = {
            "argv": list(self._argv),
            "environment": dict(order.environment),
            "directory": os.fspath(order.directory),
            "lock": os.fspath(order.lock),
            "uid": order.uid,
            "gid": order.gid,
            "limits": {name: limit for name, limit in asked.items() if limit is not None},
        }
        await self.say({"order": given})

    async def stop(self, grace: float) -> Exit:
        """Have it ended; return how it ended, once nothing that it started is left."""
        await self.say({"stop": grace})
        return await asyncio.shield(self.gone)

    def close(self) -> None:
        """Talk to the warden no more, and take everything for gone."""
        self._channel.close()
        self._finish()

    def _take(self, message: Message) -> None:
        match message:
            case {"started": int(pid)}:
                self.pid = pid
                self._settle(None)
            case {"failed": {"step": str(step), "errno": int(number)}}:
                self._settle(launch_failed(self.order, self._argv, step, number))
            case {"exited": {"code": int(code)}} if not self.ended.done():
                self.ended.set_result(Exit(code=code))
            case {"exited": {"signal": int(number)}} if not self.ended.done():
                self.ended.set_result(Exit(signal=number))
            case {"gone": True}:
                self.close()

    def _settle(self, failure: Exception | None) -> None:
        if not self._started.done():
            self._started.set_result(failure)

    def _note_lost(self) -> None:
        self._finish()

    def _finish(self) -> None:
        self._settle(WardenLost())
        if not self.ended.done():
            self.ended.set_result(Exit(signal=signal.SIGKILL))
        if not self.gone.done():
            self.gone.set_result(self.ended.result())
