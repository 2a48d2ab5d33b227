"""Write the tables of docs/settings.md, from the settings model and the help of the commands."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from typer.main import get_command

from outlast.cli.commands import commands
from outlast.settings.table import Row, rows

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

#: The part of the page that is generated.
_PART = re.compile(r"(<!-- generated -->\n).*(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the page differs")
    check = parser.parse_args().check
    old = PAGE.read_text(encoding="utf-8")
    new = renewed(old)
    if not check:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        print(
            f"docs/{PAGE.name}: not what the settings say; run `make settings` and commit the result", file=sys.stderr
        )
        return 1
    return 0


def renewed(page: str) -> str:
    """Return the page with its generated part as it should be; the rest of it is written by hand."""
    return _PART.sub(lambda part: part[1] + "\n".join([*_tables(), part[2]]), page)


def _tables() -> Iterator[str]:
    options = _options()
    for group, members in groupby(rows(), key=lambda row: row.group):
        yield f"## {group}\n"
        yield "| variable | option | default | read by | means |\n|---|---|---|---|---|"
        for row in members:
            yield _line(row, options.get(row.variables[0], []))
        yield ""


def _line(row: Row, options: list[str]) -> str:
    variables, named = (", ".join(f"`{name}`" for name in names) for names in (row.variables, options))
    return f"| {variables} | {named} | {row.default} | {row.readers} | {row.meaning} |".replace("|  |", "| |")


def _options() -> dict[str, list[str]]:
    """Return the options that set each variable: the help of an option ends with its variables, ``[NAME, NAME]``."""
    found: dict[str, list[str]] = {}
    for command in _walk(get_command(commands)):
        for parameter in command.params:
            if named := re.search(r"\[([A-Z_, ]+)\]$", getattr(parameter, "help", None) or ""):
                for variable in named[1].split(", "):
                    if variable.endswith("_FILE"):  # the option is no file
                        continue
                    options = found.setdefault(variable, [])
                    options += [option for option in parameter.opts if option not in options]
    return found


def _walk(command: Any) -> Iterator[Any]:
    yield command
    for child in getattr(command, "commands", {}).values():
        yield from _walk(child)


if __name__ == "__main__":
    sys.exit(main())
