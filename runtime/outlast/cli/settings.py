"""``outlast settings``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outlast.cli.options import AsJson
from outlast.cli.printing import console, note, plain, print_json

if TYPE_CHECKING:
    from outlast.settings.model import Settings
    from outlast.settings.table import Row

_MASK = "***"
#: Settings that hang on the program, and are nobody's as long as none is named.
_OF_PROGRAM = ("agent", "store")


def settings(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", show_default=False, help="The program that they are for; it is not run."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every setting: its variable, the value that a process started here would have, and where that comes from.

    Secrets are masked. What stands on another process's command line, or in its code, is not seen.

    Examples:

    \b
      outlast settings
      docker exec agent outlast settings
      outlast settings agent.py --json
    """
    from outlast.settings.model import load_settings
    from outlast.settings.table import misspelled, rows

    loaded = load_settings(program=file and file.absolute())
    known = rows()
    entries = [_entry(row, loaded, file is not None) for row in known]
    entries += [
        {"variable": name, "value": _masked(name, value), "source": "environment"}
        for name, value in sorted(os.environ.items())
        if name.startswith("OTEL_") and value
    ]
    if as_json:
        print_json(entries)
    else:
        _print_table(entries)
    for name, nearest in misspelled(os.environ).items():
        note(f"{name} is no setting" + (f": did you mean {nearest}?" if nearest else ""))


def _entry(row: Row, loaded: Settings, has_program: bool) -> Mapping[str, str]:
    from outlast.settings.table import shown

    given = {name.upper(): value for name, value in os.environ.items() if value}
    named = next((variable for variable in row.variables if variable in given), "")
    file = given.get(f"{row.variables[0]}_FILE", "")
    source = named or (file and f"{row.variables[0]}_FILE")
    if not source and (row.name in _OF_PROGRAM and not has_program):
        value = row.default.replace("`", "")
    elif row.name == "store":
        value = loaded.shown_store
    else:
        value = shown(row.name, getattr(loaded, row.name))
        value = (_MASK if row.secret else value) if value else row.default.replace("`", "")
    return {"variable": row.variables[0], "value": value, "source": source or "default"}


def _masked(name: str, value: str) -> str:
    from outlast.settings.values import without_password

    return _MASK if name.endswith("_HEADERS") else without_password(value)


def _print_table(entries: list[Mapping[str, str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("VARIABLE", "VALUE", "SOURCE"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        table.add_row(*(Text(plain(text)) for text in entry.values()))
    console().print(table)
