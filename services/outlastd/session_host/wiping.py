"""Removes what a session has left, however it has left it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def wipe(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there. No process may be left that writes there. Blocks.

    A session may have left folders that nobody may enter, and more of them in each other than a path can name: they are
    opened, and each is moved beside the first one before it is emptied. Links are removed, and never followed.

    Raises:
        OSError: something cannot be removed.
    """
    base = folder.with_name(f"{folder.name}.wiped")
    if not os.path.lexists(folder) and not base.exists():
        return
    base.mkdir(mode=0o700, exist_ok=True)
    # What is there already was left by a host that ended meanwhile.
    waiting = list(base.iterdir())

    def take(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
            waiting.append(path.rename(base / secrets.token_hex(8)))
        else:
            path.unlink(missing_ok=True)

    take(folder)
    while waiting:
        emptied = waiting.pop()
        for name in os.listdir(emptied):
            take(emptied / name)
        emptied.rmdir()
    base.rmdir()
