"""The body of a request whose members the host itself looks at."""

from __future__ import annotations

import json
from typing import Any

from outlastd.session_host.api_error import invalid


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. Raises ApiError 400 for anything else."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("The body is not JSON") from None
    if not isinstance(given, dict):
        raise invalid("The body is not a JSON object")
    return given
