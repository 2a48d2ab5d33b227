"""Records of ``logging`` as our JSON lines: what an App's logger writes with."""

from __future__ import annotations

import logging
from typing import Any, TextIO

from outlast.telemetry import log
from outlast.telemetry.correlation import current_ids
from outlast.telemetry.log import CONTRACT_LOGGER_NAME, contract_logger, error_fields

#: Attributes of a record that we have made of a line: its fields, and whether it has been written as JSON already.
FIELDS = "_outlast_fields"
WRITTEN = "_outlast_written"


class JSONFormatter(logging.Formatter):
    """Makes of a record one JSON object, with the ids of what it was written for."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        from outlast.telemetry import output  # structlog, loaded with the first line

        return output.text(record.levelname, record.getMessage(), fields_of(record))


class JSONHandler(logging.StreamHandler[TextIO]):
    """Writes records as JSON lines, through the same output as every other line of ours."""

    def __init__(self) -> None:
        super().__init__()
        self._own_stream = self.stream
        self._own_formatter = self.formatter = JSONFormatter()

    @property
    def untouched(self) -> bool:
        """Whether the program has left it as it was made."""
        return self._writes_lines and not self.filters and self.level == logging.NOTSET

    @property
    def _writes_lines(self) -> bool:
        return self.formatter is self._own_formatter and self.stream is self._own_stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless it is a line that has been written."""
        if getattr(record, WRITTEN, False):
            return
        if not self._writes_lines:
            super().emit(record)
            return
        try:
            self.write_line(record)
        except RecursionError:
            raise
        except Exception:  # arguments that do not fit the message
            self.handleError(record)

    def write_line(self, record: logging.LogRecord) -> None:
        """Write the record as a line. May raise what its arguments raise when they are asked for their text."""
        log.write(record.levelname, record.getMessage(), fields_of(record))


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what stands behind the message of a record, in the documents' order (design: section 5, log lines)."""
    made: dict[str, Any] | None = getattr(record, FIELDS, None)
    if made is not None:
        return made
    logger = contract_logger() if record.name == CONTRACT_LOGGER_NAME else record.name
    fields: dict[str, Any] = {"logger": logger, **current_ids()}
    if record.exc_info and record.exc_info[1] is not None:
        fields |= error_fields(record.exc_info[1])
        fields["location"] = location_of(record)
    return fields


def location_of(record: logging.LogRecord) -> str:
    """Return where a record was written, as the contract has it (section 4.3)."""
    return f"{record.pathname}:{record.funcName}:{record.lineno}"
