"""InvokeAgentRuntimeCommand: a shell command beside the agent of a session (contract section 2.3)."""

from __future__ import annotations

import asyncio
from codecs import getincrementaldecoder
from collections.abc import AsyncGenerator
from typing import Any, Self

from outlastd.front_door.response import Response
from outlastd.front_door.sse import KEEPALIVE_SECONDS
from outlastd.session_host.api_error import agent_failed, invalid
from outlastd.session_host.aws_event_stream import CONTENT_TYPE, event, exception
from outlastd.session_host.json_body import read_object
from outlastd.session_host.ports import Execution, Exit, LaunchFailed
from outlastd.session_host.use import Use

#: Bytes of a request's body, at the most: a command all of whose characters are escaped.
MAX_BODY = 512 * 1024
MAX_COMMAND = 65_536
MAX_TIMEOUT = 3_600
DEFAULT_TIMEOUT = 300
#: Bytes of one argument of a process, at the most (Linux: MAX_ARG_STRLEN, with the zero at its end).
_MAX_ARGUMENT = 128 * 1024 - 1
#: Bytes of output in one event; every one of them may become the three of a replacement character.
_PIECE = 16 * 1024
#: What timeout(1) says of a command whose time was up.
_TIMED_OUT = 124
#: Seconds within which the host learns of the end of a session that a command was killed with.
_LATER = 1.0
#: The session's own path says whether there is a bash.
_SHELL = 'if command -v bash >/dev/null 2>&1; then exec bash -c "$1"; fi; exec /bin/sh -c "$1"'


async def run_command(use: Use, body: bytes, *, keepalive: float = KEEPALIVE_SECONDS) -> Response:
    """Start a command; its output is the answer's body. The use is taken over: it ends with the command.

    Raises:
        ApiError: the body is not in order, or the command could not be started.
    """
    try:
        command, timeout = _read(body)
        argv = ["/bin/sh", "-c", _SHELL, "sh", command]
        try:
            execution = await use.process.execute(argv, float(timeout))
        except LaunchFailed as error:
            raise agent_failed(f"The command could not be started: {error}") from error
    except BaseException:
        use.end()
        raise
    return Response(200, CommandOutput(use, execution, keepalive), CONTENT_TYPE)


def _read(body: bytes) -> tuple[str, int]:
    """Return the command of a request and its seconds. Raises ApiError."""
    if len(body) > MAX_BODY:
        raise invalid(f"The body has {len(body):,} bytes, over the limit of {MAX_BODY:,}")
    given = read_object(body)
    return _command(given.get("command")), _timeout(given.get("timeout"))


def _command(command: Any) -> str:
    if not isinstance(command, str) or not 1 <= len(command) <= MAX_COMMAND:
        raise invalid(f"command: a text of 1 to {MAX_COMMAND:,} characters is required")
    try:
        size = len(command.encode())
    except UnicodeEncodeError:
        raise invalid("command: it has half of a surrogate pair") from None
    if "\0" in command:
        raise invalid("command: it has a null character")
    if size > _MAX_ARGUMENT:
        raise invalid(f"command: it has {size:,} bytes, over the limit of {_MAX_ARGUMENT:,}")
    return command


def _timeout(timeout: Any) -> int:
    if timeout is None:
        return DEFAULT_TIMEOUT
    if type(timeout) is not int or not 1 <= timeout <= MAX_TIMEOUT:
        raise invalid(f"timeout: a whole number of seconds from 1 to {MAX_TIMEOUT:,} is required")
    return timeout


class CommandOutput:
    """The events of a command, as its client reads them: what it writes waits in its pipes meanwhile."""

    def __init__(self, use: Use, execution: Execution, keepalive: float) -> None:
        """After ``keepalive`` silent seconds an empty event comes: a client may not wait for more than 60."""
        self._use = use
        self._execution = execution
        self._keepalive = keepalive
        self._events = self._run()
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._events)

    async def aclose(self) -> None:
        """Kill the command if it still runs, and end the use."""
        try:
            await self._events.aclose()
            if not self._over:
                self._over = True
                await self._execution.kill()
        finally:
            self._use.end()

    async def _run(self) -> AsyncGenerator[bytes, None]:
        yield _chunk("contentStart", {})
        ended = asyncio.create_task(self._use.until_ended())
        events = self._follow(ended)
        reading: asyncio.Task[bytes] | None = None
        try:
            while True:
                reading = reading or asyncio.create_task(_next(events))
                await asyncio.wait((reading, ended), timeout=self._keepalive, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    done, reading = reading, None
                    yield done.result()
                    if self._over:
                        return
                elif ended.done():
                    yield _session_ended(ended)
                    return
                else:
                    yield _chunk("contentDelta", {"stdout": ""})
        finally:
            ended.cancel()
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            await events.aclose()

    async def _follow(self, ended: asyncio.Task[str]) -> AsyncGenerator[bytes, None]:
        decoders = {name: getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        async for name, data in self._execution.output():
            for start in range(0, len(data), _PIECE):
                if text := decoders[name].decode(data[start : start + _PIECE]):
                    yield _chunk("contentDelta", {name: text})
        for of, decoder in decoders.items():
            if text := decoder.decode(b"", final=True):
                yield _chunk("contentDelta", {of: text})
        how = await self._execution.wait()
        killed = how is not None and how.signal is not None
        if killed:
            await asyncio.wait([ended], timeout=_LATER)
        self._over = True
        yield _session_ended(ended) if killed and ended.done() else _stop(how)


async def _next(events: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(events)


def _session_ended(ended: asyncio.Task[str]) -> bytes:
    return exception("runtimeClientError", ended.result())


def _stop(how: Exit | None) -> bytes:
    if how is None:
        return _chunk("contentStop", {"exitCode": _TIMED_OUT, "status": "TIMED_OUT"})
    code = how.code if how.signal is None else 128 + how.signal
    return _chunk("contentStop", {"exitCode": code, "status": "COMPLETED"})


def _chunk(kind: str, value: dict[str, Any]) -> bytes:
    return event("chunk", {kind: value})
