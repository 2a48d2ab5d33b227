"""Where in a TOML text each key stands: tomllib tells values only.

The text is taken apart into statements, each the fewest whole lines that tomllib can read by themselves: a statement
ends with a line, and what stops short of its end is inside a string or brackets, and cannot be read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Where something stands in what tomllib returns: names of keys and, in arrays, numbers from 0.
KeyPath = tuple[str | int, ...]

#: Lines that are read again with each that follows: a string that never ends makes that slow.
_MAX_LINES = 500


@dataclass(frozen=True, slots=True)
class _Statement:
    """One ``key = value`` or one header of a table."""

    #: Where it begins, counted from 1, and its first line.
    line: int
    text: str
    #: What it says by itself.
    value: dict[str, Any]
    #: The lines on which the elements of an array over several lines end.
    elements: list[int]


class TomlLines:
    """Knows the lines of a text's keys; the text may break off in the middle of a statement."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        #: How many tables each array of tables has up to here.
        self._counts: dict[KeyPath, int] = {}
        #: The first line of what cannot be read up to the end of the text; None when there is no such thing.
        self.unreadable: int | None = None
        table: KeyPath = ()
        for statement in self._statements(text):
            if statement.text.lstrip().startswith("["):
                table = self._header(statement)
            else:
                self._pair(statement, table)

    def line(self, path: KeyPath) -> int:
        """Return the line of ``path``, or of the nearest thing around it that has a line; 1 when nothing has."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _statements(self, text: str) -> Iterator[_Statement]:
        lines = text.replace("\r\n", "\n").split("\n")
        first = 0
        while first < len(lines):
            after, elements = _end(lines, first)
            if after is None:
                self.unreadable = first + 1
                return
            if value := tomllib.loads("\n".join(lines[first:after])):
                yield _Statement(first + 1, lines[first], value, elements)
            first = after

    def _header(self, statement: _Statement) -> KeyPath:
        """Note a table, and return its path."""
        names, leaf = _leaf(statement.value)
        path: KeyPath = ()
        for number, name in enumerate(names):
            path = (*path, name)
            if number == len(names) - 1 and isinstance(leaf, list):
                self._lines.setdefault(path, statement.line)
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
            self._lines.setdefault(path, statement.line)
        self._lines[path] = statement.line  # a table that was named only by those within it has a line of its own now
        return path

    def _pair(self, statement: _Statement, table: KeyPath) -> None:
        """Note a key with its value, and all that stands in the value."""
        names, leaf = _leaf(statement.value)
        self._note(statement.value, table, statement.line)
        if isinstance(leaf, list):
            for number, (element, line) in enumerate(zip(leaf, statement.elements, strict=False)):
                path = (*table, *names, number)
                self._lines[path] = line
                self._note(element, path, line, anew=True)

    def _note(self, value: object, path: KeyPath, line: int, *, anew: bool = False) -> None:
        items: Any = (
            value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, child in items:
            if anew:
                self._lines[*path, key] = line
            else:
                self._lines.setdefault((*path, key), line)
            self._note(child, (*path, key), line, anew=anew)


def _end(lines: list[str], first: int) -> tuple[int | None, list[int]]:
    """Return the number of lines up to the end of a statement, and the lines, from 1, on which its elements end.

    None for a statement that does not end, or of which _MAX_LINES have to be read at once.
    """
    elements: list[int] = []
    in_array = False
    # What is still to be read, where that begins, and how many elements had ended by then: those are left behind.
    read, begun, behind = "", first, 0
    for last in range(first, len(lines)):
        read += lines[last] + "\n"
        whole = _loads(read)
        closed = _loads(read + "]") if whole is None else whole
        in_array = in_array or (whole is None and closed is not None)
        if in_array and closed is not None:
            elements += [last + 1] * (behind + _elements(closed) - len(elements))
        if whole is not None:
            return last + 1, elements
        if _loads(read + "0]") is not None:  # one more fits in behind a comma or the bracket only
            read, begun, behind = "x = [\n", last + 1, len(elements)
        if last - begun >= _MAX_LINES:
            break
    return None, elements


def _elements(value: object) -> int:
    """Return how many elements an array has that stands alone; 0 for anything else."""
    leaf = _leaf(value)[1]
    return len(leaf) if isinstance(leaf, list) else 0


def _leaf(value: object) -> tuple[list[str], object]:
    """Follow the only keys of tables within tables; return their names, and what the last one holds."""
    names: list[str] = []
    while isinstance(value, dict) and len(value) == 1:
        [(name, value)] = value.items()
        names.append(name)
    return names, value


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
