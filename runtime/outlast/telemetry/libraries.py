"""What the libraries say through ``logging``: as lines in our JSON, and without what is no news."""

from __future__ import annotations

import logging
import time

from outlast.telemetry.log import Level, emit

#: Whose records become lines of ours, as long as the program has not given them a handler itself.
_LIBRARIES = ("aiohttp", "asyncio", "grpc", "opentelemetry")
#: An exporter without a collector says so with every batch: once in this many seconds is enough.
_QUIET_SECONDS = 300.0
#: Says at DEBUG on which loop it is, several times a request.
_CHATTERER = "grpc._cython.cygrpc"
#: grpc.aio on a loop that somebody else woke: harmless, and logged by asyncio with a stack trace.
_HARMLESS = "PollerCompletionQueue._handle_events"


class _LineHandler(logging.Handler):
    """Writes a record as a line with the logger's own name; without its traceback where it is OpenTelemetry's."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last: dict[tuple[str, object], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless it is a harmless or a repeated one."""
        try:
            message = record.getMessage()
        except Exception:  # arguments that do not fit the format
            message = str(record.msg)
        if _HARMLESS in message:
            return
        error = record.exc_info[1] if record.exc_info else None
        if record.name.startswith("opentelemetry"):
            if self._repeated(record):
                return
            message, error = message if error is None else f"{message} ({type(error).__name__})", None
        level: Level = "ERROR" if record.levelno >= logging.ERROR else "WARNING"
        emit(level, message, {"logger": record.name}, error)

    def _repeated(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        key = (record.name, record.msg)
        if now - self._last.get(key, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return True
        self._last[key] = now
        return False


def quiet_libraries() -> None:
    """Turn warnings and errors of the libraries that outlast runs on into lines; calling it again does nothing.

    A program that has set up ``logging`` for itself (a handler on the root logger, or on the library's) keeps what it
    has set up; only the chatter of grpc's own core is never its debugging.
    """
    chatterer = logging.getLogger(_CHATTERER)
    if chatterer.level == logging.NOTSET:
        chatterer.setLevel(logging.INFO)
    if logging.getLogger().handlers:
        return
    handler = _LineHandler()
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        if not library.handlers:
            library.addHandler(handler)
            library.propagate = False
