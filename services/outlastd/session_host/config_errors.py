"""How a session host's configuration is refused: one line that names file and line of all that is wrong."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence

import attrs
from cattrs import ForbiddenExtraKeysError

from outlast.core.errors import StartRefused
from outlast.settings.kinds import Unfit, problems
from outlastd.session_host.config import AgentConfig, AuthConfig, HostConfig, JwtConfig, KeyConfig
from outlastd.session_host.toml_lines import KeyPath, TomlLines

#: Characters of a value that are shown.
_SHOWN = 60
#: Keys below which nothing is shown.
_MAY_BE_SECRET = frozenset({"environment", "secret_variable"})
#: What stands in a table of the file, and where such a table stands.
_TABLES: dict[type[attrs.AttrsInstance], str] = {
    HostConfig: "at the top of the file, before the first [table]",
    AgentConfig: "below [agents.NAME]",
    AuthConfig: "below [auth]",
    KeyConfig: "below [[auth.keys]]",
    JwtConfig: "below [auth.jwt]",
}


class ConfigSource:
    """What a configuration was read from."""

    def __init__(self, name: str, text: str | None = None) -> None:
        """``name`` as people gave it; ``text`` is None for what stands in no file."""
        self._name = name
        self._text = text
        #: Keys of the top that were given beside the file: it has no lines for them.
        self.given: frozenset[str] = frozenset()

    def broken(self, error: Exception) -> StartRefused:
        """Return how a text is refused that is no TOML."""
        message = str(error) or type(error).__name__
        if match := re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message):
            message, line, column = match.groups()
            return StartRefused(f"{self._name}:{line}: {message} (column {column})")
        line = str(TomlLines(self._text or "").unreadable or 1)
        message = message.removesuffix(" (at end of document)")
        return StartRefused(f"{self._name}:{line}: what begins here cannot be read: {message}")

    def refused(self, error: Exception) -> StartRefused:
        """Return how a configuration is refused that could not be read."""
        return self.refuse(told for place, problem in problems(error) for told in _told(place, problem))

    def refuse(self, wrong: Iterable[tuple[KeyPath, str]]) -> StartRefused:
        """Return how a configuration is refused, given where something is wrong, and what."""
        lines = TomlLines(self._text) if self._text is not None else None
        told = []
        for path, why in wrong:
            line = lines.line(path) if lines and not self.given.intersection(path[:1]) else 0
            told.append((line, f"{self._name}:{line}: {_written(path)}: {why}" if line else f"{_written(path)}: {why}"))
        return StartRefused("; ".join(message for _, message in sorted(told, key=lambda one: one[0])))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the question whether something known was meant, for the end of a message; empty where nothing is near."""
    found = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {found[0]}?" if found else ""


def _told(path: KeyPath, problem: Exception) -> Iterator[tuple[KeyPath, str]]:
    """Return where something is wrong, and what it is."""
    match problem:
        case ForbiddenExtraKeysError():
            for name in sorted(problem.extra_fields):
                yield (*path, name), _unknown((*path, name))
        case KeyError() if path == ("agents",):
            yield path, "it is missing: an agent is a table [agents.NAME] with a file or a command"
        case KeyError():
            yield path, "it is missing"
        case Unfit(value=value):
            # A variable of a guest may hold a secret, and so may what was put in place of a whole table, or of a name.
            secret = not _MAY_BE_SECRET.isdisjoint(path) or isinstance(value, dict | list)
            yield path, f"{problem}" if secret else f"{problem}, not {_short(value)}"
        case ValueError():  # it says all
            yield path, str(problem)
        case _:
            raise problem


def _unknown(path: KeyPath) -> str:
    """Tell what may have been meant by a key that no table has, or not the one that it stands in."""
    name, table = str(path[-1]), _table(path[:-1])
    for other, where in _TABLES.items():
        if other is not table and name in attrs.fields_dict(other):
            return f"there is no such key here; it stands {where}"
    return f"there is no such key{nearest(name, attrs.fields_dict(table))}"


def _table(path: KeyPath) -> type[attrs.AttrsInstance]:
    match path:
        case ("agents", _):
            return AgentConfig
        case ("auth",):
            return AuthConfig
        case ("auth", "keys", _):
            return KeyConfig
        case ("auth", "jwt"):
            return JwtConfig
    return HostConfig


def _written(path: Sequence[str | int]) -> str:
    """Return a path as people write it: ``auth.keys[0].name``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part if re.fullmatch(r'[A-Za-z0-9_-]+', part) else json.dumps(part)}"
    return text.removeprefix(".")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
