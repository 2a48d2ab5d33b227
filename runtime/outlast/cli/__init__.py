"""The command line. Each command loads what it needs when it runs, so that help and completion answer at once."""

from __future__ import annotations

import sys
from collections.abc import Callable


def main() -> None:
    """Run the ``outlast`` command: what is refused is one line on standard error and exit code 1."""
    from outlast.cli import init

    if init.is_first_process():
        init.go_on_in_child()
    from outlast.cli.commands import commands

    run_or_refuse(lambda: commands(prog_name="outlast"))


def run_or_refuse(command: Callable[[], object]) -> None:
    """Call ``command``; end the process with one line and exit code 1 where it refuses."""
    from outlast.cli.printing import one_line
    from outlast.core.errors import OutlastError

    try:
        command()
    except OutlastError as error:
        sys.exit(f"outlast: {one_line(error.message)}")
