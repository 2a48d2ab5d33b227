"""How a session host's configuration is refused: one line that names file and line of all that is wrong."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from outlast.core.errors import StartRefused
from outlastd.session_host.config import AgentConfig, AuthConfig, HostConfig, JwtConfig, KeyConfig
from outlastd.session_host.toml_lines import KeyPath, TomlLines

#: Characters of a value that are shown.
_SHOWN = 60
#: What stands in a table of the file, and where such a table stands.
_TABLES: dict[type[BaseModel], str] = {
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

    def refused(self, error: ValidationError) -> StartRefused:
        """Return how a configuration is refused that pydantic has found wrong."""
        return self.refuse(_told(detail) for detail in error.errors() if detail["type"] != "default_factory_not_called")

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


def _told(detail: Any) -> tuple[KeyPath, str]:
    """Return where one error of pydantic's is, and what it is."""
    path: KeyPath = detail["loc"]
    kind, message, value = detail["type"], str(detail["msg"]), detail["input"]
    if path[-1:] == ("[key]",):
        path = path[:-1]
    match kind:
        case "value_error":  # ours: it says all
            return path, message.removeprefix("Value error, ")
        case "extra_forbidden":
            return path, _unknown(path)
        case "missing" if path == ("agents",):
            return path, "it is missing: an agent is a table [agents.NAME] with a file or a command"
        case "missing":
            return path, "it is missing"
        case "model_type" | "dict_type" | "model_attributes_type":
            message = "Input should be a table"
        case "tuple_type":
            message = "Input should be an array"
        case "path_type":
            message = "Input should be a path"
        case "too_short" | "string_too_short":
            return path, "it is empty"
    message = message.replace("Input", "it", 1)
    # A variable of a guest may hold a secret, and so may what was put in place of a whole table.
    secret = "environment" in path or isinstance(value, dict | list)
    return path, message if secret else f"{message}, not {_short(value)}"


def _unknown(path: KeyPath) -> str:
    """Tell what may have been meant by a key that no table has, or not the one that it stands in."""
    name, table = str(path[-1]), _table(path[:-1])
    for other, where in _TABLES.items():
        if other is not table and name in other.model_fields:
            return f"there is no such key here; it stands {where}"
    return f"there is no such key{nearest(name, table.model_fields)}"


def _table(path: KeyPath) -> type[BaseModel]:
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
