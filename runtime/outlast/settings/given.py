"""What is given for the settings: variables, arguments of code, and what stands in files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from outlast.settings.defaults import default_agent, default_store

PREFIX = "OUTLAST_"
#: The settings that may stand in a file, which another setting names.
_IN_FILES = ("token", "worker_token", "store")


def given(variables: Mapping[str, tuple[str, ...]], code: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given for settings, by their names, as it is written.

    ``variables`` are those of each setting, the first of which wins, and any of them over ``code``, which may have more
    than settings; None is not given, and neither is an empty variable. Raises ValueError: one line that names the
    variable.
    """
    environment = {name.upper(): value for name, value in os.environ.items() if value}
    found = {name: value for name, value in code.items() if name in variables and value is not None}
    for name, known in variables.items():
        if variable := next((variable for variable in known if variable in environment), None):
            found[name] = environment[variable]
    # A file wins over what code says, and the environment names one of the two.
    for name in _IN_FILES:
        if (path := found.get(f"{name}_file")) is not None:
            variable = f"{PREFIX}{name.upper()}"
            if variable in environment:
                raise ValueError(f"{variable} and {variable}_FILE are both set: keep one")
            found[name] = _content(path, f"{variable}_FILE")
    if (program := code.get("program")) is not None:
        found.setdefault("agent", default_agent(program))
        found.setdefault("store", default_store(str(found["agent"]), program))
    return found


def _content(path: str | Path, variable: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ValueError(f"{variable}: {path} cannot be read ({why})") from None
