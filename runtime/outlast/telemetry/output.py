"""The structlog logger behind every line: one JSON object a line, one write a line, to standard error.

Imported when the first line is written and not before, so that ``import outlast`` stays light. It is a logger of our
own, wrapped around our own output: what a user's program configures in structlog is neither used nor touched.
"""

from __future__ import annotations

import json
import os
import re
import select
import sys
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import orjson
import structlog

#: What orjson leaves as it is though a terminal may obey it (DEL, C1 controls) or a reader end a line at it (U+2028).
_UNSAFE = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
#: How long one line may wait for room in a standard error that somebody has made non-blocking.
_PATIENCE_SECONDS = 0.1
_INT64 = 1 << 63
#: Bytes that go to a pipe in one piece, whoever else writes to it (POSIX: 512 at least).
_PIPE_BUF = getattr(select, "PIPE_BUF", 512)


class _Together(threading.local):
    """What a thread has written since it began to gather; None while it does not."""

    lines: list[bytes] | None = None


class _StandardError:
    """Writes whole lines to what ``sys.stderr`` is at that moment, from any thread, and never raises."""

    def __init__(self) -> None:
        self._renew_lock()
        self._together = _Together()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        # Re-entrant: a signal handler or a finaliser may write while this thread does.
        self._lock = threading.RLock()

    def write(self, line: bytes) -> None:
        """Write one line; a standard error that is closed, gone or full loses it."""
        if self._together.lines is not None:
            self._together.lines.append(line)
        else:
            self._write(line)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write the lines of this thread at the end, as many at a time as go to a pipe in one piece."""
        if self._together.lines is not None:
            yield
            return
        lines = self._together.lines = []
        try:
            yield
        finally:
            self._together.lines = None
            for part in _parts(lines):
                self._write(part)

    def _write(self, line: bytes) -> None:
        # RuntimeError: "reentrant call" of a buffered stream. AttributeError: sys.stderr is None under pythonw.
        try:
            with self._lock:
                try:
                    descriptor = sys.stderr.fileno()
                except (OSError, ValueError):  # a StringIO, a notebook's stream
                    sys.stderr.write(line.decode())
                    sys.stderr.flush()
                else:
                    # Past Python's own buffer: after a broken pipe that would keep the line and fail the exit.
                    self._write_all(descriptor, line)
        except (OSError, ValueError, RuntimeError, AttributeError):
            return

    @staticmethod
    def _write_all(descriptor: int, line: bytes) -> None:
        rest: bytes | memoryview = line
        while rest:
            try:
                written = os.write(descriptor, rest)
                if written == len(rest):
                    return
                rest = memoryview(rest)[written:]
            except BlockingIOError:
                if not select.select([], [descriptor], [], _PATIENCE_SECONDS)[1]:
                    raise


def _parts(lines: list[bytes]) -> Iterator[bytes]:
    """Yield lines joined, none of the joints longer than what goes to a pipe in one piece."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        if part and size + len(line) > _PIPE_BUF:
            yield b"".join(part)
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield b"".join(part)


class _Line(structlog.BoundLoggerBase):
    """A bound logger with one method."""

    def write(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        """Write a line; ``fields`` has the logger's name under ``logger``, and goes out in its order."""
        # As one value: a field may have any name, that of a parameter of structlog's too. What structlog's own
        # _proxy_to_logger does about bound values and processors that drop a line there is no use for here.
        line: Any = {"event": message, "line": (level, fields)}
        for step in self._processors:
            line = step(self._logger, "write", line)
        self._logger.write(line)


def _stamp(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the documents' keys first, in their order (design: section 5, log lines)."""
    level, fields = event["line"]
    return {"timestamp": _timestamp(), "level": level, "message": event["event"], **fields}


#: A Unix second and how its timestamps begin: written once for all lines of that second.
_second: tuple[int, str] = (0, "1970-01-01T00:00:00")


def _timestamp() -> str:
    """Return what time it is in UTC, to the millisecond."""
    global _second
    milliseconds = time.time_ns() // 1_000_000
    second, begin = _second  # one read: another thread may be at the next one
    if second != milliseconds // 1000:
        second = milliseconds // 1000
        begin = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _second = second, begin
    return f"{begin}.{milliseconds - second * 1000:03d}Z"


def _render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
    """Encode a line, whatever is in it."""
    try:
        line = orjson.dumps(event, default=_text)
    except (
        TypeError,
        ValueError,
        RecursionError,
    ):  # a lone surrogate, an integer beyond 64 bits, a key that is no text
        line = _render_poison(event)
    if not line.isascii() or b"\x7f" in line:
        line = _UNSAFE.sub(_escaped, line)
    return line + b"\n"


def _render_poison(event: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(_plain(event))
    except RecursionError:
        return orjson.dumps({key: _text(value) for key, value in event.items()})


def _plain(value: object) -> object:
    """Return ``value`` as orjson can take it."""
    if isinstance(value, Mapping):
        return {_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | float) or value is None or (isinstance(value, int) and -_INT64 <= value < _INT64):
        return value
    return _text(value)


def _text(value: object) -> str:
    """Return any value as text that UTF-8 can hold."""
    try:
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    except Exception:  # a __str__ of somebody else's
        return f"<{type(value).__name__}>"


def _escaped(unsafe: re.Match[bytes]) -> bytes:
    return json.dumps(unsafe[0].decode("utf-8")).strip('"').replace("\x7f", "\\u007f").encode("ascii")


def text(level: str, message: str, fields: Mapping[str, Any]) -> str:
    """Return a line as text, without its end."""
    line: Any = {"event": message, "line": (level, fields)}
    for step in _steps:
        line = step(None, "", line)
    return str(line[:-1], "utf-8")


#: How a line comes about; in place of the list's own items others may be put at any time.
_steps: list[Any] = [_stamp, _render]
_standard_error = _StandardError()
_line: _Line = structlog.wrap_logger(_standard_error, processors=_steps, wrapper_class=_Line).bind()

#: Within ``with together():`` the lines of the thread are written with fewer calls: at its end, in their order.
together = _standard_error.together

#: Write one line: ``write(level, message, fields)``.
write = _line.write


def rename_keys(names: Mapping[str, str]) -> None:
    """Give the top keys of every line from now on the names that ``names`` has for them; with none, their own.

    A key that has such a name already keeps its value, with an underscore behind its name.
    """

    def rename(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        taken = {names[key] for key in event if key in names}
        renamed: dict[str, Any] = {}
        for key, value in event.items():
            name = names.get(key)
            if name is None:
                name = key
                while name in taken or name in renamed:
                    name += "_"
            renamed[name] = value
        return renamed

    _steps[:] = [_stamp, rename, _render] if names else [_stamp, _render]
