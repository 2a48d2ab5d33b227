"""The options that several commands have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import typer

TaskManager = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="The task manager to ask, 127.0.0.1:50051 by default; replicas with commas between. "
        "[OUTLAST_TASK_MANAGER]",
    ),
]
Token = Annotated[
    str | None, typer.Option(metavar="TOKEN", help="The token it asks for. [OUTLAST_TOKEN, OUTLAST_TOKEN_FILE]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's id, or its name tasks/ID.")]


def set_variables(options: Mapping[str, object]) -> None:
    """Let the options that are given win over their variables, and over the files that stand for those."""
    for variable, value in options.items():
        if value is not None:
            os.environ[variable] = str(value)
            os.environ.pop(f"{variable}_FILE", None)


def seconds(text: str | None) -> float | None:
    """Return a duration of the command line, ``90``, ``90s`` or ``1.5h``, in seconds; None for none."""
    if text is None:
        return None
    from outlast.settings.kinds import read
    from outlast.settings.values import Seconds

    try:
        return float(read(Seconds, text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
