"""All settings as they are told to people: variables, group, readers, default, meaning; and names that are none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import attrs

from outlast.settings.given import PREFIX
from outlast.settings.groups import TOLD, Told
from outlast.settings.model import FIELDS, VARIABLES
from outlast.settings.values import SIZES, TIMES, Unit

#: Read by `outlast sessions` alone, apart from the model.
_OF_COMMANDS = "OUTLAST_SESSION_HOST"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting."""

    #: The name of the field.
    name: str
    #: The variables that set it; the first of them wins.
    variables: tuple[str, ...]
    group: str
    #: Who reads it, in words.
    readers: str
    #: The default in words, with Markdown.
    default: str
    #: What it means, with Markdown.
    meaning: str
    #: Whether nobody is shown the value.
    secret: bool


def rows() -> list[Row]:
    """Return all settings in the order of the model."""
    return [_row(name, field) for name, field in FIELDS.items()]


def shown(name: str, value: Any) -> str:
    """Return the value of a setting as it could be written: ``15s``, ``100MB``, ``on``; empty for none."""
    beside = _beside(FIELDS[name])
    match value:
        case None:
            return ""
        case bool():
            return "on" if value else "off"
        case dict():
            return ",".join(f"{key}={other}" for key, other in value.items())
        case tuple():
            return ",".join(value)
        case _ if Unit.SECONDS in beside:
            return _in_units(value, TIMES) or f"{value:g}s"
        case _ if Unit.BYTES in beside:
            return _in_units(value, SIZES) or f"{value}"
        case _:
            return str(value)


def misspelled(variables: Iterable[str]) -> dict[str, str]:
    """Return those names among a process's ``variables`` that look like ours and are none, each with the nearest.

    The value is empty where none is near. What Kubernetes sets for a Service is nobody's mistake.
    """
    names = sorted(name for name in variables if name.upper().startswith(PREFIX))
    known = [_OF_COMMANDS, *(variable for row in rows() for variable in row.variables)]
    services = tuple(name.removesuffix("_SERVICE_HOST") for name in names if name.endswith("_SERVICE_HOST"))
    link = re.compile(rf"({'|'.join(map(re.escape, services))})_(SERVICE_HOST|SERVICE_PORT.*|PORT(_[0-9]+_.*)?)")
    strange = [name for name in names if name.upper() not in known and not (services and link.fullmatch(name))]
    if not strange:
        return {}
    import difflib  # every process asks, and most have nothing strange

    return {name: next(iter(difflib.get_close_matches(name.upper(), known, 1)), "") for name in strange}


def _row(name: str, field: attrs.Attribute[Any]) -> Row:
    told: Told = field.metadata[TOLD]
    default = told.default or _default(name, field)
    return Row(name, VARIABLES[name], told.group, told.readers, default, told.meaning, told.secret)


def _default(name: str, field: attrs.Attribute[Any]) -> str:
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # to a type checker it is a function
        return "none"
    if type(field.default) is int and Unit.BYTES not in _beside(field):
        return f"{field.default:,}"
    value = shown(name, field.default)
    return f"`{value}`" if value else "none"


def _beside(field: attrs.Attribute[Any]) -> tuple[object, ...]:
    """Return what stands beside the type of a setting."""
    return getattr(field.type, "__metadata__", ())


def _in_units(value: float, units: Mapping[str, int]) -> str:
    """Return ``value`` in the unit that makes the smallest whole number of it; empty where none does."""
    whole = {unit: value / size for unit, size in units.items() if value >= size and value % size == 0}
    unit = min(whole, key=lambda unit: whole[unit], default="")
    return f"{whole[unit]:.0f}{unit}" if unit else ""
