"""Why an address cannot be listened on, in words."""

from __future__ import annotations

import errno
import os


def why_not_listening(error: Exception) -> str:
    """Return what stood in the way of a listener: of an OSError or OverflowError that making one has raised."""
    match code := getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return "the port is taken by another program"
        case errno.EACCES:
            return "this user may not have that port"
        case int() if code > 0:
            return os.strerror(code)
        case _:  # the resolver's errors have numbers of their own
            return getattr(error, "strerror", None) or str(error)
