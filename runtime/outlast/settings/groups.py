"""What is told of a setting beside its name: its group, who reads it, what it means, its default in words.

The page of all settings (docs/settings.md), ``outlast settings`` and the warning about a misspelled name are made from
it.
"""

from __future__ import annotations

from enum import Flag, auto
from typing import Any, NamedTuple

import attrs


class Reader(Flag):
    """Who reads a setting. Whoever holds a task manager, an agent or a session host, reads what that one reads."""

    AGENT = auto()
    MANAGER = auto()
    HOST = auto()
    COMMANDS = auto()


AGENT, MANAGER, HOST, COMMANDS = Reader
#: What the readers are called.
TITLES = {AGENT: "agent", MANAGER: "task manager", HOST: "session host", COMMANDS: "commands"}


class Told(NamedTuple):
    """What is told of a setting. It stands in the metadata of the field, as TOLD."""

    group: str
    #: Who reads it, in words.
    readers: str
    #: What it means, with Markdown.
    meaning: str
    #: The default in words, with Markdown; empty where the value says it.
    default: str
    #: Whether nobody is shown the value.
    secret: bool
    #: The variables that set it, where it is not the one of its name; the first of them wins.
    variables: tuple[str, ...]


TOLD = "told"


class Group:
    """Settings that are told of together. Called, it makes the field of one."""

    def __init__(self, title: str) -> None:
        self.title = title

    def __call__(
        self,
        words: str,
        readers: Reader,
        *,
        shown: str = "",
        secret: bool = False,
        variables: tuple[str, ...] = (),
        **field: Any,
    ) -> Any:
        """Return a field of the model; see Told. What else is given is the field's own."""
        named = ", ".join(TITLES[reader] for reader in readers)
        told = Told(self.title, named, words, shown, secret, variables)
        return attrs.field(**field, repr=not secret, metadata={TOLD: told})
