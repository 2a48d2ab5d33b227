"""``python -P -m outlast.cli.guest FILE``: what ``outlast run FILE`` does, for a session host that starts its guests.

Such a command has no options, help or completion, as the host sets the variables. To load what reads a command line,
typer and all commands, took CPU and memory of every session.
"""

from __future__ import annotations

import sys
from pathlib import Path

from outlast.cli import run_or_refuse
from outlast.cli.program import run_program

if __name__ == "__main__":
    run_or_refuse(lambda: run_program(Path(sys.argv[1]), []))
