"""Our own loads: processes of benchmarks/load, which say in their last line, as JSON, what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Self

from benchmarks.harness.environments import ROOT


class Load:
    """A load under way. It runs in the checkout's own environment: it is not what is measured."""

    def __init__(self, module: str, *options: object) -> None:
        command = [sys.executable, "-m", f"benchmarks.load.{module}", *map(str, options)]
        self._name = module
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def says(self) -> Any:
        """Wait for its next line and return what it says.

        Raises:
            SystemExit: it has ended; why stands in what it wrote to standard error.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the load {self._name} ended with exit code {self._process.wait()}")
        return json.loads(line)

    def tell(self, what: object) -> None:
        """Send it a line of JSON."""
        assert self._process.stdin is not None
        print(json.dumps(what), file=self._process.stdin, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.communicate()


def run_load(module: str, *options: object) -> Any:
    """Run a load to its end and return what came of it; raises what ``Load.says`` raises."""
    with Load(module, *options) as load:
        return load.says()
