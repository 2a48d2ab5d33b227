"""How a setting that cannot be taken is told: one line that names the variable, and never a secret."""

from __future__ import annotations

import os
from typing import Any

from pydantic import ValidationError

PREFIX = "OUTLAST_"
#: Where pydantic says more of itself than of the cure.
_CURES = {"bool_parsing": "write on or off", "int_parsing": "write a whole number"}


def told(error: ValidationError) -> str:
    """Return one line about all that is wrong."""
    # The default of the store hangs on the agent name; that it could not be made is no error of its own.
    return "; ".join(_told(detail) for detail in error.errors() if detail["type"] != "default_factory_not_called")


def _told(detail: Any) -> str:
    """Return one line about one error of pydantic, without the value where that may be a secret."""
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    field = str(detail["loc"][0]).removeprefix(PREFIX).lower()
    variable = f"{PREFIX}{field.upper()}"
    variables = [variable, f"{variable}_FILE", *(["PORT"] if field == "port" else [])]
    source = next((name for name in variables if os.environ.get(name)), field)
    if detail["type"] == "value_error":  # ours: it says all
        return f"{source}: {message}"
    shown = "" if "token" in field or "secret" in field else f", not {detail['input']!r}"
    told = _CURES.get(detail["type"]) or message.replace("Input", "it", 1)
    return f"{source}: {told}{shown}"
