"""The command line. Each command loads what it needs when it runs, so that help and completion answer at once."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the ``outlast`` command: what is refused is one line on standard error and exit code 1."""
    from outlast.cli import init

    if init.is_first_process():
        init.go_on_in_child()
    from outlast.cli.commands import commands
    from outlast.cli.printing import one_line
    from outlast.core.errors import OutlastError

    try:
        commands(prog_name="outlast")
    except OutlastError as error:
        sys.exit(f"outlast: {one_line(error.message)}")
