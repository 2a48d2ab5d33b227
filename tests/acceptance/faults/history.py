"""What was asked, answered, seen and run, in the order in which it was written down."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: ``what`` it is, ``at`` when (seconds of CLOCK_MONOTONIC, the same for all processes of the machine), and its fields.
Record = dict[str, Any]


class History:
    """A file to which clients, the faults and the programs under test append one JSON object a line.

    A line is one write to a file opened with O_APPEND: nobody's line gets into another's, and what a process wrote
    before it was killed is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

    def write(self, what: str, **fields: Any) -> None:
        """Append a record."""
        os.write(self._file, json.dumps({"at": round(time.monotonic(), 4), "what": what, **fields}).encode() + b"\n")

    def read(self) -> list[Record]:
        """Return all records so far."""
        return list(self._records())

    def close(self) -> None:
        """Let the file go; it stays."""
        os.close(self._file)

    def _records(self) -> Iterator[Record]:
        with self.path.open("rb") as lines:
            for line in lines:
                yield json.loads(line)
