"""The arguments of a task as they are recorded, so that another process can call the function with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from outlast.core.errors import InvalidField
from outlast.core.validation import MAX_INPUT
from outlast.payload import MAX_DEPTH
from outlast.tasks.looks import signature_of

#: The types whose values JSON gives back as they were. A tuple comes back as a list, which is let through.
_PLAIN = (str, int, float, bool, type(None))
_WHY = "with more than one attempt the arguments are recorded as JSON"
_CURE = "pass strings, finite numbers, booleans, None, lists and dicts, or use max_attempts=1"


def to_record(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """Return the arguments as the JSON text ``{"args": [...], "kwargs": {...}}``; they fit the function.

    Strictly what JSON can say: a value that only resembles it (an enum, a subclass) would come back as another one.

    Raises:
        InvalidField: an argument is something else, or they are too large; names the argument.
    """
    names = _positional_names(function)
    for name, value in [*zip(names, args, strict=False), *kwargs.items()]:
        if (found := _refusal(value)) is not None:
            raise InvalidField(f"{name}{found[0]}", f"{found[1]}: {_WHY}; {_CURE}")
    import json  # with the first arguments that are recorded: an App alone has no use for it

    try:
        text = json.dumps({"args": args, "kwargs": kwargs}, ensure_ascii=False, allow_nan=False)
    except ValueError as error:  # an integer of thousands of digits
        raise InvalidField("arguments", f"cannot be written as JSON: {error}") from None
    recorded = text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes its JSON escape
    if len(recorded) > MAX_INPUT:
        raise InvalidField(
            "arguments",
            f"are {len(recorded):,} bytes of JSON, over the limit of {MAX_INPUT:,}: {_WHY}; keep the data elsewhere "
            "and pass where it is",
        )
    return recorded


def from_record(recorded: bytes | None) -> tuple[list[Any], dict[str, Any]]:
    """Return recorded arguments, positional and by name; none where nothing was recorded.

    Raises:
        InvalidField: it is no such record.
    """
    if recorded is None:
        return [], {}
    import json

    try:
        value = json.loads(recorded)
    except (ValueError, RecursionError) as error:
        raise InvalidField("input", f"is not JSON: {error}") from None
    if not isinstance(value, dict) or not value.keys() <= {"args", "kwargs"}:
        raise InvalidField("input", "is no JSON object of `args` (an array) and `kwargs` (an object)")
    args, kwargs = value.get("args", []), value.get("kwargs", {})
    if not isinstance(args, list):
        raise InvalidField("input.args", "is no JSON array")
    if not isinstance(kwargs, dict):
        raise InvalidField("input.kwargs", "is no JSON object")
    return args, kwargs


def check_fit(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise TypeError here and now when a call would, rather than where the task runs."""
    try:
        signature = signature_of(function)
    except ValueError:  # a builtin that has none
        return
    signature.bind(*args, **kwargs)


def _positional_names(function: Callable[..., Any]) -> Iterator[str]:
    """Give a name for each positional argument: the parameter's, or its place."""
    try:
        parameters = list(signature_of(function).parameters.values())
    except ValueError:  # a builtin that has none
        parameters = []
    count = 0
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            break
        yield parameter.name
        count += 1
    while True:
        yield f"args[{count}]"
        count += 1


def _refusal(value: Any, depth: int = 0) -> tuple[str, str] | None:
    """Return what JSON cannot say, or would give back as something else: where it is inside of ``value``, and why."""
    kind = type(value)
    if depth > MAX_DEPTH:
        return "", f"is nested more than {MAX_DEPTH} deep, or in itself"
    if kind in (list, tuple):
        for index, item in enumerate(value):
            if (found := _refusal(item, depth + 1)) is not None:
                return f"[{index}]{found[0]}", found[1]
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                return "", f"has the key {key!r}, and JSON has strings only"
            if (found := _refusal(item, depth + 1)) is not None:
                return f"[{key!r}]{found[0]}", found[1]
    elif kind not in _PLAIN:
        return "", f"is {kind.__qualname__}, which is not JSON"
    elif kind is float and not math.isfinite(value):
        return "", f"is {value}, which is not JSON"
    return None
