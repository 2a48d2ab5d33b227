"""Arguments on record."""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.core.errors import InvalidField
from outlast.tasks.arguments import from_record, to_record

if TYPE_CHECKING:
    from tests.unit.tasks.conftest import World


class Colour(enum.IntEnum):
    """An integer, for json.dumps."""

    RED = 1


class Point(NamedTuple):
    """A tuple, for json.dumps."""

    x: int


def work(topic: Any = None, /, pages: Any = None, *more: Any, depth: Any = None, **rest: Any) -> None:
    """Take arguments of every kind."""


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(VALUES), st.dictionaries(st.text(), VALUES))
def test_what_is_recorded_comes_back(args: list[Any], kwargs: dict[str, Any]) -> None:
    """Any JSON value, lone surrogates and zero bytes and integers of any length among them, as UTF-8."""
    recorded = to_record(work, args, kwargs)

    recorded.decode("utf-8")
    assert from_record(recorded) == (args, kwargs)


def test_tuples_come_back_as_lists() -> None:
    """The one conversion that is let through."""
    recorded = to_record(work, ((1, (2,)), "\ud800\x00"), {"depth": {"a": ()}})

    assert json.loads(recorded) == {"args": [[1, [2]], "\ud800\x00"], "kwargs": {"depth": {"a": []}}}


def nest(depth: int) -> list[Any]:
    """Return lists in lists."""
    return [] if depth == 0 else [nest(depth - 1)]


@pytest.mark.parametrize(
    ("args", "kwargs", "match"),
    [
        ((object(),), {}, "topic: is object, which is not JSON"),
        ((1, {1, 2}), {}, "pages: is set, which is not JSON"),
        ((1, 2, 3, b"x"), {}, r"args\[3\]: is bytes, which is not JSON"),
        ((), {"depth": [1, {"a": (2, Colour.RED)}]}, r"depth\[1\]\['a'\]\[1\]: is Colour, which is not JSON"),
        ((), {"other": Point(1)}, "other: is Point, which is not JSON"),
        (([1.0, float("nan")],), {}, r"topic\[1\]: is nan, which is not JSON"),
        (({1: 2},), {}, "topic: has the key 1, and JSON has strings only"),
        ((nest(51),), {}, "topic.*: is nested more than 50 deep"),
        ((10**5000,), {}, "arguments: cannot be written as JSON"),
    ],
)
def test_what_json_cannot_say_is_refused_by_name(args: tuple[Any, ...], kwargs: dict[str, Any], match: str) -> None:
    """The error says which argument, where in it, why, and what to do: nothing is converted silently."""
    with pytest.raises(InvalidField, match=match) as refused:
        to_record(work, args, kwargs)
    if "arguments" not in match:
        assert "with more than one attempt the arguments are recorded as JSON" in refused.value.why
        assert "max_attempts=1" in refused.value.why


def test_a_value_in_itself_is_refused() -> None:
    """Without an end there is no JSON."""
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(InvalidField, match="in itself"):
        to_record(work, (endless,), {})


def test_the_limit_is_a_mebibyte() -> None:
    """Up to 1 MiB of JSON is kept; the error over it names size and limit."""
    frame = len(b'{"args": [""], "kwargs": {}}')

    assert len(to_record(work, ("x" * (1024 * 1024 - frame),), {})) == 1024 * 1024
    with pytest.raises(InvalidField, match="are 1,048,577 bytes of JSON, over the limit of 1,048,576"):
        to_record(work, ("x" * (1024 * 1024 - frame + 1),), {})


def test_functions_without_a_signature_have_places_for_names() -> None:
    """Some builtins tell nobody what they take."""
    with pytest.raises(InvalidField, match=r"args\[1\]: is object"):
        to_record(vars, (1, object()), {})


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (None, ([], {})),
        (b"{}", ([], {})),
        (b'{"args": [1]}', ([1], {})),
        (b'{"kwargs": {"a": 1}}', ([], {"a": 1})),
    ],
)
def test_parts_may_be_missing(recorded: bytes | None, expected: object) -> None:
    """Whoever creates a task from outside writes what there is."""
    assert from_record(recorded) == expected


@pytest.mark.parametrize(
    ("recorded", "field"),
    [
        (b"[1]", "input"),
        (b'{"topic": "x"}', "input"),
        (b"{", "input"),
        (b'{"args": {"0": 1}}', "input.args"),
        (b'{"kwargs": [1]}', "input.kwargs"),
        (b"[" * 100_000, "input"),
    ],
)
def test_anything_else_is_no_record(recorded: bytes, field: str) -> None:
    """The error names what is wrong with it."""
    with pytest.raises(InvalidField) as refused:
        from_record(recorded)
    assert refused.value.field == field


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_refused_argument_starts_nothing(world: World, asynchronous: bool) -> None:
    """Said at the call, on either kind of function, and what does not fit the function is still a TypeError."""

    @world.async_task(max_attempts=2)
    async def look(at: object) -> None: ...

    @world.async_task(max_attempts=2)
    def look_on_a_thread(at: object) -> None: ...

    function: Any = look if asynchronous else look_on_a_thread
    with pytest.raises(InvalidField, match="at: is object"):
        function.start(object())
    with pytest.raises(TypeError, match="at"):
        function.start()
    assert not world.runtime.ledger.busy
    assert world.runtime.threads.running == 0
