"""User values as JSON and user code's ends as the ledger keeps them, poison included."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from outlast.core.errors import InvalidField
from outlast.core.state import StateReason, TaskState
from outlast.payload import convert_complex_objects, to_json_text, to_stored_json
from outlast.tasks.outcome import MAX_ERROR_MESSAGE, raised, returned


@dataclass
class Point:
    """A dataclass."""

    x: int


class Model(pydantic.BaseModel):
    """A pydantic model."""

    y: int


class Mute:
    """An object that has no text."""

    def __str__(self) -> str:
        raise LookupError("no text")


class Broken:
    """An object whose conversion fails."""

    def model_dump(self) -> Any:
        """Fail."""
        raise LookupError("no dump")

    def __str__(self) -> str:
        return "broken"


def nested(depth: int) -> Any:
    """Return a list in a list in a list."""
    value: Any = {1}
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None, True], "b": "言語"}, '{"a": [1, null, true], "b": "言語"}'),
        ("text", '"text"'),
        (None, "null"),
        (float("nan"), "NaN"),
        ("\x00", '"\\u0000"'),
        (Point(1), '{"x": 1}'),
        (Model(y=2), '{"y": 2}'),
        ({"points": (Point(1), Model(y=2))}, '{"points": [{"x": 1}, {"y": 2}]}'),
        ({3}, "[3]"),
        ({(1, 2): 3}, '"{(1, 2): 3}"'),
        (2**70, str(2**70)),
        (Broken(), '"broken"'),
        (b"bytes", "\"b'bytes'\""),
        (Mute(), '{"error": "Serialization failed", "original_type": "Mute"}'),
    ],
)
def test_json_text(value: Any, text: str) -> None:
    """As it stands, else converted, else its text, else an object that says what failed."""
    assert to_json_text(value) == text


def test_what_lies_too_deep_becomes_a_placeholder() -> None:
    """Conversion ends after 50 levels, also for a value that contains itself."""
    own: list[Any] = [{1}]
    own.append(own)

    assert "<too_deep:list>" in to_json_text(own)
    assert json.loads(to_stored_json(nested(100_000), 1000))
    assert convert_complex_objects(nested(51))[0][0] is not None


def test_conversion_agrees_with_the_original() -> None:
    """Value for value what the original's function gives, where it is installed."""
    original = pytest.importorskip("bedrock_agentcore.runtime.utils").convert_complex_objects

    for value in (Point(1), Model(y=2), {"a": {1}}, (1, [Point(2)]), nested(60), "text", None):
        assert convert_complex_objects(value) == original(value)


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": "\x00"}, float("inf"), 2**70, "言語", ["\ud83d"]])
def test_stored_json_is_valid_utf8(value: Any) -> None:
    """Whatever the value, the bytes are UTF-8 and say the same."""
    stored = to_stored_json(value, 1000)

    assert json.loads(stored.decode("utf-8")) == value


def test_stored_json_has_a_limit_in_bytes() -> None:
    """The limit counts bytes of UTF-8, and the error names field, size and limit."""
    assert to_stored_json("言語", 8) == '"言語"'.encode()
    with pytest.raises(InvalidField, match="metadata: is 8 bytes of JSON, over the limit of 7") as refused:
        to_stored_json("言語", 7, field="metadata")
    assert refused.value.field == "metadata"


@pytest.mark.parametrize("value", [Mute(), [10**5000], "x" * 100])
def test_a_value_that_cannot_be_kept_fails_the_task(value: Any) -> None:
    """Too large or unwritable: FAILED with RESULT_REFUSED and the reason in words."""
    finish, refusal = returned(value, 100)

    assert (finish.state, finish.state_reason, finish.result) == (TaskState.FAILED, StateReason.RESULT_REFUSED, None)
    assert finish.error is not None
    assert finish.error.message == str(refusal)


def test_an_exceptions_text_is_made_fit_for_every_store() -> None:
    """Messages are cleaned and cut, names of classes kept; an exception without text is still a failure."""

    class Unsayable(Exception):
        def __str__(self) -> str:
            raise LookupError("no text")

    for error, message in (
        (ValueError("a\x00b\ud800"), "a\\x00b\\ud800"),
        (ValueError("x" * 100_000), "x" * (MAX_ERROR_MESSAGE - 1) + "…"),
        (Unsayable(), "<Unsayable, whose text cannot be had>"),
        (SystemExit(3), "3"),
        (KeyboardInterrupt(), ""),
    ):
        finish = raised(error, cancel_requested=False)
        assert finish.state is TaskState.FAILED
        assert finish.error is not None
        assert (finish.error.code, finish.error.message, finish.error.type) == (2, message, type(error).__name__)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()])
@pytest.mark.parametrize("requested", [True, False])
def test_cancellations_say_whether_somebody_asked(error: BaseException, requested: bool) -> None:
    """CANCELED, never FAILED and never COMPLETED, with the reason."""
    finish = raised(error, cancel_requested=requested)

    assert finish.state is TaskState.CANCELED
    assert finish.state_reason == (StateReason.CANCEL_REQUESTED if requested else StateReason.SELF)
    assert finish.error is not None
    assert finish.error.code == 1


class Unruly(dict[str, int]):
    """A dict whose items cannot be had."""

    def items(self) -> Any:
        """Fail."""
        raise LookupError("no items")


def test_a_poisonous_subclass_is_kept_as_its_text() -> None:
    """User code that json calls may raise anything: for a record the next way is tried."""
    assert to_stored_json(Unruly(a=1), 1000) == b"\"{'a': 1}\""


def test_what_writing_raises_is_the_handlers_failure() -> None:
    """An answer is not made up where user code, or the depth of a value, keeps it from being written."""
    with pytest.raises(LookupError, match="no items"):
        to_json_text(Unruly(a=1))
    with pytest.raises(RecursionError):
        to_json_text(nested(100_000))
