"""A variable that looks like a setting and is none: a deployment that misspells one would never hear of it."""

from __future__ import annotations

import os

from outlast.settings.table import misspelled
from outlast.telemetry.log import get_logger


def warn_of_strange_variables() -> None:
    """Write one line that names them, with what was probably meant, and without their values."""
    if found := misspelled(os.environ):
        names = [f"{name} (did you mean {nearest}?)" if nearest else name for name, nearest in found.items()]
        get_logger().warning("variables of the environment are no settings", variables=names)
