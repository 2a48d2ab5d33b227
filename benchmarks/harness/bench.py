"""One run of the benchmarks: how long, how large, and where things are."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from benchmarks.harness.environments import Environments

PROGRAMS = Path(__file__).parents[1] / "programs"
PEERS = Path(__file__).parents[1] / "peers"


@dataclass(frozen=True)
class Bench:
    """What a question is given."""

    environments: Environments
    #: A folder for this run's files, on a real disk: commits are to cost what they cost.
    folder: Path
    #: Rounds that count.
    rounds: int
    #: A run of seconds that only shows that the benchmark works: small counts, nothing that has to be installed.
    smoke: bool = False
    #: The counts of `make bench-large`.
    large: bool = False
    #: Versions of the servers that were used.
    versions: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long one measurement of a rate takes."""
        return 0.3 if self.smoke else 5.0

    def python(self, name: str) -> str:
        """Return the Python of a contender's environment."""
        return self.environments.python(name)

    def new_folder(self, name: str) -> Path:
        """Return a new folder of this run."""
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def say(self, what: str) -> None:
        """Show what is going on."""
        # With its end in one write: questions that are asked side by side would tear each other's lines apart.
        print(f"{time.monotonic() - self._began:7.1f}s  {what}\n", end="", file=sys.stderr, flush=True)
