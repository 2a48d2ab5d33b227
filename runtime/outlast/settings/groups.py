"""What is told of a setting beside its name: its group, who reads it, what it means, its default in words.

The page of all settings (docs/settings.md), ``outlast settings`` and the warning about a misspelled name are made from
it.
"""

from __future__ import annotations

from enum import Flag, auto
from typing import Any

from pydantic import Field


class Reader(Flag):
    """Who reads a setting. Whoever holds a task manager, an agent or a session host, reads what that one reads."""

    AGENT = auto()
    MANAGER = auto()
    HOST = auto()
    COMMANDS = auto()


AGENT, MANAGER, HOST, COMMANDS = Reader
#: What the readers are called.
TITLES = {AGENT: "agent", MANAGER: "task manager", HOST: "session host", COMMANDS: "commands"}


class Group:
    """Settings that are told of together. Called, it makes the field of one."""

    def __init__(self, title: str) -> None:
        self.title = title

    def __call__(self, words: str, readers: Reader, *, shown: str = "", secret: bool = False, **field: Any) -> Any:
        """Return a field of the model.

        ``words`` say what it means, ``shown`` its default where the value does not say it, ``secret`` that nobody is
        shown the value; the rest is pydantic's.
        """
        told = {"group": self.title, "readers": ", ".join(TITLES[reader] for reader in readers), "default": shown}
        return Field(**field, description=words, repr=not secret, json_schema_extra={**told})
