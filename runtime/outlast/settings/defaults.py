"""The defaults of settings that hang on the machine and the program, and those that several places know."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

DEFAULT_PORT = 8080
DEFAULT_TASK_MANAGER_LISTEN = "127.0.0.1:50051"


#: All addresses.
EVERYWHERE = "0.0.0.0"


def default_host(*, container: bool = False) -> str:
    """Return where the front door listens when nobody says: everywhere in a container, else on this machine only."""
    container = container or os.path.exists("/.dockerenv") or bool(os.environ.get("DOCKER_CONTAINER"))
    return EVERYWHERE if container else "127.0.0.1"


def program_file() -> Path | None:
    """Return the file of the program that runs; None in a notebook or an interactive session."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(os.path.abspath(path)) if path else None


def default_agent(program: Path | None) -> str:
    """Return the agent name of a program: its file's stem, or its folder's for ``python -m package``."""
    if program is None:
        return "agent"
    return (program.parent.name if program.stem == "__main__" else program.stem) or "agent"


def default_store(agent: str, program: Path | None) -> str:
    """Return the store of an agent: a file in ``.outlast`` beside the program."""
    from outlast.settings.values import SQLITE  # loads attrs, which who asks for a port can do without

    folder = program.parent if program else Path.cwd()
    stem = re.sub(r"[/\\\x00:]", "-", agent)
    return f"{SQLITE}{folder / '.outlast' / stem}.db"
