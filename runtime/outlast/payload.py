"""User values as JSON, by the rules of contract section 1: what a handler, a stream or a task may return."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from outlast.core.errors import InvalidField

if TYPE_CHECKING:
    from json import JSONEncoder

#: How deep values are converted; what lies deeper becomes a placeholder. Ends the recursion of a value in itself.
MAX_DEPTH = 50


@cache
def _encoder() -> JSONEncoder:
    """Return what writes JSON; json.dumps() makes one anew at each call that asks for anything but its defaults."""
    import json  # with the first value: an App alone has no use for it

    return json.JSONEncoder(ensure_ascii=False)


def convert_complex_objects(obj: Any, depth: int = 0) -> Any:
    """Return ``obj`` with models, dataclasses, tuples and sets in it as what JSON has: objects and arrays."""
    if depth > MAX_DEPTH:
        return f"<too_deep:{type(obj).__name__}>"
    if hasattr(obj, "model_dump"):  # a pydantic model, or something that acts like one
        return obj.model_dump()
    if dataclasses.is_dataclass(obj):
        return dataclasses.asdict(obj)  # type: ignore[arg-type]  # of a class: TypeError, and its text is sent
    if isinstance(obj, dict):
        return {key: convert_complex_objects(value, depth + 1) for key, value in obj.items()}
    if isinstance(obj, list | tuple | set):
        return [convert_complex_objects(item, depth + 1) for item in obj]
    return obj


def to_json_text(obj: Any, on_failure: Callable[[Exception], None] | None = None) -> str:
    """Return ``obj`` as JSON text, whatever it is.

    As it stands where JSON can say it, else converted, else its ``str()``, else an object that says what failed;
    ``on_failure`` is told why then.

    Raises:
        Exception: of user code that writing calls, or RecursionError; only what JSON cannot say is converted.
    """
    try:
        return _encoder().encode(obj)
    except (TypeError, ValueError):
        written = _write_converted(obj)
    if isinstance(written, str):
        return written
    if on_failure is not None:
        on_failure(written)
    import json

    return json.dumps({"error": "Serialization failed", "original_type": type(obj).__name__}, ensure_ascii=False)


def to_stored_json(obj: Any, limit: int, *, field: str = "result") -> bytes:
    """Return ``obj`` as JSON in UTF-8 that every store can hold, ``limit`` bytes at the most.

    The rules are those of to_json_text; a lone surrogate, which UTF-8 cannot say, is written as its JSON escape.

    Raises:
        InvalidField: there is no way to write it, or it is over the limit; names ``field``, the size and the limit.
    """
    text = _write(obj)
    if isinstance(text, Exception):
        raise InvalidField(field, f"{type(obj).__name__} cannot be written as JSON")
    stored = text.encode("utf-8", "backslashreplace")
    if len(stored) > limit:
        raise InvalidField(field, f"is {len(stored):,} bytes of JSON, over the limit of {limit:,}")
    return stored


def _write(obj: Any) -> str | Exception:
    """Return JSON text; what went wrong when not even ``str()`` of the value can be had."""
    try:
        return _encoder().encode(obj)
    except Exception:  # not only what json raises: a subclass of dict or list is user code
        return _write_converted(obj)


def _write_converted(obj: Any) -> str | Exception:
    import json  # not the encoder: tests of programs for the original have its dumps fail

    try:
        return json.dumps(convert_complex_objects(obj), ensure_ascii=False)
    except Exception:  # model_dump is user code
        pass
    try:
        return json.dumps(str(obj), ensure_ascii=False)
    except Exception as error:  # so is __str__
        return error
