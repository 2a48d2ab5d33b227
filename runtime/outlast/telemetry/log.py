"""Our own operational lines: constant messages with fields, in the JSON of the contract's lines."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

from outlast.core.validation import clean_text
from outlast.telemetry.correlation import current_ids

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
#: The least important first.
LEVELS: tuple[Level, ...] = get_args(Level)
#: What ``logging`` calls them.
NUMBERS: dict[Level, int] = {level: getattr(logging, level) for level in LEVELS}
#: The logger name of our operational lines.
LOGGER_NAME = "outlast"
#: The logger name of the contract's lines, as in the documents.
CONTRACT_LOGGER_NAME = "bedrock_agentcore.app"

#: Characters at the most of an exception's message, and entries of its stack trace, in one line.
_MAX_MESSAGE = 16_384
_MAX_FRAMES = 100


class _Configuration:
    """What the environment says until ``configure`` is called."""

    def __init__(self) -> None:
        self.threshold = LEVELS.index("INFO")
        self.contract_logger = os.environ.get("OUTLAST_LOGGER_NAME") or CONTRACT_LOGGER_NAME
        #: Whether somebody has asked for a level: then the App leaves it as it is.
        self.level_given = False
        for level in LEVELS:
            if level == os.environ.get("OUTLAST_LOG_LEVEL", "").upper():
                self.set_level(level)

    def set_level(self, level: Level) -> None:
        self.threshold = LEVELS.index(level)
        self.level_given = True
        # The contract's lines obey this logger, as in the original, and so do the records that the program writes.
        logging.getLogger(CONTRACT_LOGGER_NAME).setLevel(level)


_configuration = _Configuration()
_write: Callable[[str, str, Mapping[str, Any]], None] | None = None


def configure(
    *, level: Level | None = None, logger_name: str | None = None, keys: Mapping[str, str] | None = None
) -> None:
    """Set the least level that is written, the logger name of the contract's lines and other names for keys of lines.

    None leaves one as it is.
    """
    if level is not None:
        _configuration.set_level(level)
    if logger_name is not None:
        _configuration.contract_logger = logger_name
    if keys:
        from outlast.telemetry import output  # structlog, loaded with the first line

        output.rename_keys(keys)


def threshold() -> int:
    """Return the least level that is written, as ``logging`` counts them."""
    return NUMBERS[LEVELS[_configuration.threshold]]


def level_given() -> bool:
    """Return whether somebody has asked for a least level."""
    return _configuration.level_given


def enabled(level: Level) -> bool:
    """Return whether a line of this level is written."""
    return LEVELS.index(level) >= _configuration.threshold


def contract_logger() -> str:
    """Return the logger name of the contract's lines."""
    return _configuration.contract_logger


def emit(level: Level, message: str, fields: dict[str, Any], error: BaseException | None = None) -> None:
    """Write one line of ours when its level is high enough. ``fields`` go out in their order.

    The ids of what the caller works for stand before them; from any thread; never raises.
    """
    if not enabled(level):
        return
    try:
        fields = {"logger": LOGGER_NAME, **current_ids(), **fields}
        if error is not None:
            fields |= error_fields(error)
        write(level, message, fields)
    except (MemoryError, RecursionError):  # the caller has other worries than its line
        return


def write(level: str, message: str, fields: Mapping[str, Any]) -> None:
    """Write a line, whatever its level. ``fields`` has the name of a logger first, and goes out in its order."""
    if _write is None:
        load_output()
    assert _write is not None
    _write(level, message, fields)


def together() -> AbstractContextManager[None]:
    """Return a scope at whose end the lines that this thread writes in it go out, with fewer calls and in their order.

    Not to wait in: what is killed meanwhile has written none of them.
    """
    from outlast.telemetry import output  # structlog, loaded with the first line

    return output.together()


def load_output() -> None:
    """Load what lines are written with: structlog, which a process without a line does without."""
    global _write
    from outlast.telemetry import output

    # Kept: finalisers that run when the process ends may have something to say, and can import nothing.
    _write = output.write


def error_fields(error: BaseException) -> dict[str, Any]:
    """Return the fields that describe an exception: errorType, errorMessage, stackTrace, location (contract 4.3)."""
    fields: dict[str, Any] = {"errorType": type(error).__name__, "errorMessage": message_of(error)}
    try:
        stack = traceback.format_exception(error)
        frames = traceback.extract_tb(error.__traceback__)
    except Exception:  # the exception renders itself, and may fail
        return fields
    if len(stack) > _MAX_FRAMES:
        stack = [*stack[: _MAX_FRAMES // 2], "  ...\n", *stack[-_MAX_FRAMES // 2 :]]
    fields["stackTrace"] = [clean_text(entry, _MAX_MESSAGE) for entry in stack]
    if frames:
        fields["location"] = f"{frames[-1].filename}:{frames[-1].name}:{frames[-1].lineno}"
    return fields


def message_of(error: BaseException) -> str:
    """Return what an exception says, as text that every line and every span can hold."""
    try:
        return clean_text(str(error), _MAX_MESSAGE)
    except BaseException:  # a __str__ of somebody else's
        return "<its message cannot be read>"


def summary_of(error: BaseException) -> str:
    """Return what an exception is and says, ``ValueError: no such file``, in one line's field or message."""
    return f"{type(error).__name__}: {message_of(error)}"


class Log:
    """Writes operational lines. The message is a constant; what varies goes into fields."""

    def debug(self, message: str, /, *, error: BaseException | None = None, **fields: Any) -> None:
        """Write what only somebody who looks for a fault wants to read."""
        emit("DEBUG", message, fields, error)

    def info(self, message: str, /, *, error: BaseException | None = None, **fields: Any) -> None:
        """Write what an operator wants to know."""
        emit("INFO", message, fields, error)

    def warning(self, message: str, /, *, error: BaseException | None = None, **fields: Any) -> None:
        """Write what an operator should look at some day."""
        emit("WARNING", message, fields, error)

    def error(self, message: str, /, *, error: BaseException | None = None, **fields: Any) -> None:
        """Write what an operator should look at now; with ``error``, its stack trace goes along."""
        emit("ERROR", message, fields, error)


_log = Log()


def get_logger() -> Log:
    """Return the logger of our operational lines; cheap, and fine at the top of a module."""
    return _log
