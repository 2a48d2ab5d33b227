"""What the libraries say through ``logging``: as lines in our JSON, and without what is no news."""

from __future__ import annotations

import logging
import time

from outlast.core.validation import clean_text
from outlast.telemetry import log
from outlast.telemetry.json_handler import JSONHandler, fields_of, location_of

#: Whose records become lines of ours, as long as the program has not given them a handler itself.
_LIBRARIES = ("aiohttp", "asyncio", "grpc", "opentelemetry")
#: An exporter without a collector says so with every batch: once in this many seconds is enough.
_QUIET_SECONDS = 300.0
#: How many of its sayings are remembered.
_MAX_REMEMBERED = 256
#: Says at DEBUG on which loop it is, several times a request.
_CHATTERER = "grpc._cython.cygrpc"
#: grpc.aio on a loop that somebody else woke: harmless, and logged by asyncio with a stack trace.
_HARMLESS = "PollerCompletionQueue._handle_events"
#: Characters at the most of a record's message: a library at DEBUG may put whole answers into one.
_MAX_MESSAGE = 131_072
#: What a line says of an exception.
_OF_ERRORS = frozenset({"errorType", "errorMessage", "stackTrace", "location"})


class LibraryHandler(JSONHandler):
    """Writes records as lines, unless they are harmless or repeated; without their traceback OpenTelemetry's."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def write_line(self, record: logging.LogRecord) -> None:
        """Write the record as a line, whatever its arguments are."""
        fields = fields_of(record)
        try:
            message = record.getMessage()
        except Exception as error:  # arguments that do not fit the format: their author wants to know
            message = str(record.msg)
            told = {"errorType": type(error).__name__, "errorMessage": log.message_of(error)}
            fields = {**fields, **told, "location": location_of(record)}
        if _HARMLESS in message:
            return
        if record.name.startswith("opentelemetry") and record.levelno >= logging.WARNING:
            if self._repeated(record):
                return
            if error_type := fields.get("errorType"):
                message = f"{message} ({error_type})"
                fields = {name: value for name, value in fields.items() if name not in _OF_ERRORS}
        log.write(_level_of(record), clean_text(message, _MAX_MESSAGE), fields)

    def _repeated(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        key = (record.name, str(record.msg))
        if now - self._last.get(key, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return True
        if len(self._last) >= _MAX_REMEMBERED:
            self._last.clear()
        self._last[key] = now
        return False


def _level_of(record: logging.LogRecord) -> str:
    """Return the name of a record's level; of a level without a name, that of logging's next lower one."""
    if not record.levelname.startswith("Level "):
        return record.levelname
    return logging.getLevelName(min(max(record.levelno // 10, 1), 5) * 10)


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
    handler = LibraryHandler()
    handler.setLevel(max(logging.WARNING, log.threshold()))
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        if not library.handlers:
            library.addHandler(handler)
            library.propagate = False
