"""Where a host's Unix sockets are: in its own folder, or in a temporary one where that makes their paths too long."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from outlast.limits import MAX_SOCKET_PATH

#: Sessions may have users of their own: they pass through, and see nothing that they do not know the name of.
PASS_THROUGH = 0o711
#: The longest path of a socket below the root: that of a session's.
_LONGEST = Path("doors", "x" * 24, "s")


def socket_root(folder: Path) -> Path:
    """Return the folder of the sockets of a host, whose own folder is ``folder``."""
    if len(os.fsencode(folder / _LONGEST)) <= MAX_SOCKET_PATH:
        return folder
    # Its name tells the next host of this folder where to look for what is left.
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"outlast-{os.geteuid()}-{name}"


def make_socket_root(folder: Path) -> Path:
    """Make that folder, unless it is the host's own, and return it. Blocks. Raises OSError when it cannot be had."""
    root = socket_root(folder)
    if root != folder:
        root.mkdir(mode=PASS_THROUGH, parents=True, exist_ok=True)
        check_own(root)
        root.chmod(PASS_THROUGH)
    return root


def check_own(folder: Path) -> None:
    """Check that a folder is this user's: in the temporary one anybody may have made it. Raises OSError."""
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise PermissionError(0, "it belongs to somebody else", str(folder))
