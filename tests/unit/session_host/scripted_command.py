"""A session whose commands write and end as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from outlast.core.session import Session
from outlastd.session_host.ports import Execution, Exit, GuestProcess, LaunchFailed, Output
from outlastd.session_host.use import Use


class ScriptedExecution:
    """A command that runs until the test says how it ends."""

    def __init__(self) -> None:
        self._outputs: asyncio.Queue[Output | None] = asyncio.Queue()
        self._exit: asyncio.Future[Exit | None] = asyncio.get_running_loop().create_future()
        self.killed = 0

    def writes(self, *outputs: Output) -> None:
        """Have it write."""
        for output in outputs:
            self._outputs.put_nowait(output)

    def closes_outputs(self) -> None:
        """Have it write no more."""
        self._outputs.put_nowait(None)

    def exits(self, how: Exit | None) -> None:
        """Have it end."""
        self._exit.set_result(how)

    def ends(self, how: Exit | None) -> None:
        """Have it close its outputs, and end."""
        self.closes_outputs()
        self.exits(how)

    async def output(self) -> AsyncIterator[Output]:
        """Give what it writes."""
        while (output := await self._outputs.get()) is not None:
            yield output

    async def wait(self) -> Exit | None:
        """Wait for the end."""
        return await asyncio.shield(self._exit)

    async def kill(self) -> None:
        """Count."""
        self.killed += 1


class ScriptedSession:
    """A session with a process that runs commands."""

    def __init__(self, execution: Execution | None = None) -> None:
        self._execution = execution
        self.uses = 0
        #: Resolved when the session ends.
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.executed: list[tuple[Sequence[str], float]] = []

    def use(self) -> Use:
        """Begin a use."""
        return Use(self, cast(Any, None), cast(GuestProcess, self))

    async def execute(self, argv: Sequence[str], timeout: float) -> Execution:
        """Start the command."""
        self.executed.append((argv, timeout))
        if self._execution is None:
            raise LaunchFailed("there is no process")
        return self._execution

    @property
    def record(self) -> Session:
        """Nobody asks for it."""
        raise AssertionError

    def use_began(self) -> None:
        """Count."""
        self.uses += 1

    def use_ended(self) -> None:
        """Count."""
        self.uses -= 1

    def touched(self) -> None:
        """Nobody counts."""

    async def until_told(self) -> str:
        """Wait for the end."""
        return await asyncio.shield(self.ended)
