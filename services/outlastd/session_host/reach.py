"""Whether users of their own can reach what sessions need: looked at when a host starts, not when a session fails."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import outlast
import outlastd
from outlast.core.errors import StartRefused
from outlastd.session_host.config import AgentConfig
from outlastd.session_host.guests import original_agent

_ENTER, _READ = 0o001, 0o004
#: For a file that is run, and for a folder whose files are read.
_USE = _READ | _ENTER


def check_reach(agents: dict[str, AgentConfig], folder: Path) -> None:
    """Check that any user can reach the folder with the sessions, and what every agent consists of. Blocks.

    Raises:
        StartRefused: one of it is out of reach; the message names it, and what to do.
    """
    _check("the folder of the host,", folder, _ENTER, "name another with `folder`, such as /var/lib/outlast")
    for name, agent in agents.items():
        for path, wanted in _needed(agent):
            _check(f"what the agent {name!r} needs,", path, wanted, "move it where all users may read")


def _needed(agent: AgentConfig) -> list[tuple[Path, int]]:
    needed = [] if agent.directory is None else [(agent.directory, _ENTER)]
    if agent.file is None:
        program = shutil.which(agent.command[0])
        return needed if program is None else [*needed, (Path(program), _ENTER)]
    needed += [(agent.file, _READ), (agent.python or Path(sys.executable), _USE)]
    if agent.runtime == "original":
        return [*needed, (Path(original_agent.__file__), _READ)]
    if agent.python is None:
        needed += [(Path(os.__file__).parent, _USE), *((_folder(package), _USE) for package in (outlast, outlastd))]
    return needed


def _folder(package: object) -> Path:
    return Path(str(getattr(package, "__file__", ""))).parent


def _check(what: str, path: Path, wanted: int, cure: str) -> None:
    for each in dict.fromkeys((path.absolute(), path.resolve())):
        for part, needed in ((each, wanted), *((parent, _ENTER) for parent in each.parents)):
            mode = part.stat().st_mode
            if mode & needed == needed:
                continue
            where = "" if part == each else f" below {part}"
            raise StartRefused(
                f"sessions have users of their own here, and {what} {path}, is out of their reach{where}: "
                f'{cure}, open it with chmod, or set users = "off"'
            )
