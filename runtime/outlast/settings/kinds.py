"""Kinds of values, of settings and of a session host's configuration: types, and how a value is read as one.

cattrs reads by the type and finds all that is wrong; attrs has the switches and the bounds. Both are small, and whoever
serves HTTP has loaded attrs anyway: every start of an agent pays for what reads its settings.

What stands beside a type in ``Annotated`` is done in turn: every Before, the last one first; the type; then each After
and each bound, one of ``attrs.validators``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import attrs
from attrs import converters
from cattrs import BaseConverter, ClassValidationError, Converter, IterableValidationError, IterableValidationNote
from cattrs.cols import mapping_structure_factory
from cattrs.gen import make_dict_structure_fn

#: Where in a value something is: names of keys, numbers of items.
Place = tuple[str | int, ...]

_WORDS = {
    ">=": "greater than or equal to",
    ">": "greater than",
    "<=": "less than or equal to",
    "<": "less than",
}
#: What attrs tells of a bound.
_BOUND = re.compile(r"'it' must be ([<>]=?) (\S+): .*", re.DOTALL)
_IT = cast("attrs.Attribute[Any]", SimpleNamespace(name="it"))


class Unfit(ValueError):
    """A value is none of its kind. It can be told beside the text, where it is no secret; any other error says all."""

    def __init__(self, why: str, value: object) -> None:
        super().__init__(why)
        self.value = value


class WrongKey(ValueError):
    """One key of a table is wrong beside the others."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


class Before:
    """What is made of a value before its type takes it. May raise ValueError."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make


class After:
    """What is made of a value that its type has taken. May raise ValueError."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make


def read(kind: Any, value: object) -> Any:
    """Return what a value is as one of a kind. Raises an error that ``problems`` takes apart."""
    return _CONVERTER.structure(value, kind)


def problems(error: Exception, place: Place = ()) -> Iterator[tuple[Place, Exception]]:
    """Return each thing that is wrong with a value, and where in it."""
    if not isinstance(error, ClassValidationError | IterableValidationError):
        yield ((*place, error.key) if isinstance(error, WrongKey) else place), error
        return
    noted, others = error.group_exceptions()
    for inner, note in noted:
        yield from problems(inner, (*place, note.index if isinstance(note, IterableValidationNote) else note.name))
    for inner in others:
        yield from problems(inner, place)


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(bool, _switch)
    converter.register_structure_hook(int, _whole)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook_factory(_of(Literal), _choice)
    converter.register_structure_hook_factory(_of(tuple), _array)
    converter.register_structure_hook_factory(_of(dict), _table)
    converter.register_structure_hook_factory(attrs.has, _class)
    converter.register_structure_hook_factory(_of(Annotated), _annotated)
    return converter


def _of(origin: Any) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is origin


def _annotated(kind: Any, converter: BaseConverter) -> Callable[[Any, Any], Any]:
    inner, *beside = get_args(kind)
    take = converter.get_structure_hook(inner)
    before = [one.make for one in reversed(beside) if isinstance(one, Before)]
    after = [one for one in beside if callable(one) or isinstance(one, After)]

    def read_annotated(value: Any, _: Any) -> Any:
        for make in before:
            value = make(value)
        taken = take(value, inner)
        for one in after:
            if isinstance(one, After):
                taken = one.make(taken)
            else:
                _check(one, value, taken)
        return taken

    return read_annotated


def _check(bound: Callable[[Any, Any, Any], Any], given: Any, taken: Any) -> None:
    try:
        bound(None, _IT, taken)
    except ValueError as error:
        told = _BOUND.fullmatch(str(error))
        raise Unfit(f"it should be {_WORDS[told[1]]} {told[2]}" if told else str(error), given) from None


def _switch(value: Any, _: Any) -> bool:
    try:
        return converters.to_bool(value)
    except ValueError:
        why = "write on or off" if isinstance(value, str | int) else "it should be a valid boolean"
        raise Unfit(why, value) from None


def _whole(value: Any, _: Any) -> int:
    """Take a whole number, as a text as Python takes it, or with zeros behind a point."""
    if isinstance(value, str):
        try:
            return int(re.sub(r"(?<=[0-9])\.0+(?=\s*$)", "", value) if value.isascii() else "")
        except ValueError:
            raise Unfit("write a whole number", value) from None
    if isinstance(value, float):
        if not _number(value, float).is_integer():
            raise Unfit("it should be a valid integer, got a number with a fractional part", value)
        if abs(value) >= 2**63:  # one that nobody writes as what it is: 1e300
            raise Unfit("it should be a valid integer", value)
    elif not isinstance(value, int):
        raise Unfit("it should be a valid integer", value)
    return int(value)


def _number(value: Any, _: Any) -> float:
    if not isinstance(value, int | float):
        raise Unfit("it should be a valid number", value)
    try:
        number = float(value)
    except OverflowError:  # of a whole number
        number = math.inf
    if not math.isfinite(number):
        raise Unfit("it should be a finite number", value)
    return number


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise Unfit("it should be a valid string", value)
    return value


def _path(value: Any, _: Any) -> Path:
    if not isinstance(value, str | Path):
        raise Unfit("it should be a path", value)
    return Path(value)


def _choice(kind: Any) -> Callable[[Any, Any], Any]:
    choices = get_args(kind)
    *most, last = map(repr, choices)
    why = f"it should be {', '.join(most)} or {last}"

    def read_choice(value: Any, _: Any) -> Any:
        if value not in choices:
            raise Unfit(why, value)
        return value

    return read_choice


def _array(kind: Any, converter: BaseConverter) -> Callable[[Any, Any], tuple[Any, ...]]:
    item, _ = get_args(kind)
    items = list[item]  # type: ignore[valid-type]
    take = converter.get_structure_hook(items)

    def read_array(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple | set | frozenset):  # cattrs would take the letters of a text
            raise Unfit("it should be an array", value)
        return tuple(take(value, items))

    return read_array


def _table(kind: Any, converter: BaseConverter) -> Callable[[Any, Any], dict[Any, Any]]:
    key, value = get_args(kind)
    # Apart: of a key and its value that are both wrong cattrs would find the value only.
    take_keys = mapping_structure_factory(dict[key, Any], converter)  # type: ignore[valid-type]
    take_values = mapping_structure_factory(dict[Any, value], converter)  # type: ignore[valid-type]

    def read_table(given: Any, _: Any) -> dict[Any, Any]:
        taken: list[Mapping[Any, Any]] = []
        wrong: list[Exception] = []
        for take in (take_keys, take_values):
            try:
                taken.append(take(_as_table(given), kind))
            except IterableValidationError as error:
                wrong += error.exceptions
        if wrong:
            raise IterableValidationError("a table", wrong, kind)
        keys, values = taken
        return dict(zip(keys, values.values(), strict=True))

    return read_table


def _class(kind: Any, converter: BaseConverter) -> Callable[[Any, Any], Any]:
    take = make_dict_structure_fn(kind, converter)
    return lambda value, _: take(_as_table(value), kind)


def _as_table(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unfit("it should be a table", value)
    return value


_CONVERTER = _make_converter()
