"""Text of somebody else's on a terminal."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

#: Columns where the output is no terminal: a table that is searched must not be cut off.
_WIDE = 220


def plain(text: str) -> str:
    """Return ``text`` without what a terminal would obey: control characters, and what turns the direction of text."""
    return "".join(character for character in text if character.isprintable() or character == "\n")


def one_line(text: str) -> str:
    """Return ``text`` as one plain line."""
    return plain(" ".join(text.split()))


def duration(passed: timedelta) -> str:
    """Return how long something took: hundredths up to a minute, then ``H:MM:SS``."""
    if passed < timedelta(minutes=1):
        return f"{passed.total_seconds():.2f}s"
    return str(passed - timedelta(microseconds=passed.microseconds))


def console() -> Console:
    """Return what prints tables."""
    from rich.console import Console  # not for every command

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_WIDE)


def note(text: str) -> None:
    """Say something on standard error, as every message of the command line."""
    print(f"outlast: {one_line(text)}", file=sys.stderr, flush=True)


def print_line(text: str) -> None:
    """Print a line at once, also where the output cannot hold all of it."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def print_json(value: Any) -> None:
    """Print a JSON document: as it reads where the output can hold it, escaped where it cannot."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    print(text if _can_be_printed(text) else json.dumps(value, indent=2))


def print_json_line(text: str) -> None:
    """Print JSON text as one line, at once; escaped where the output cannot hold it."""
    line = text.replace("\r", " ").replace("\n", " ")  # a line break can only stand between tokens
    print(line if _can_be_printed(line) else json.dumps(json.loads(line)), flush=True)


def _can_be_printed(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # a lone surrogate, or a terminal that is not UTF-8
        return False
    return True
