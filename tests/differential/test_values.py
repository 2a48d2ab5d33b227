"""What handlers return and yield, as JSON: value by value, and values that Hypothesis makes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .differences import answer_without, lines_without
from .exchange import post
from .pair import Pair
from .strategies import JSON, STEADY, TEXT, UNSPEAKABLE_TEXT
from .tables import names_in

VALUES = names_in("values.py", "VALUES")
FAILING = names_in("values.py", "FAILING")


@pytest.fixture(scope="module")
def pair(serve: Callable[..., Pair]) -> Pair:
    """Serve every value."""
    return serve("values.py")


@pytest.fixture(scope="module")
def echo(serve: Callable[..., Pair]) -> Pair:
    """Serve what is sent."""
    return serve("echo.py")


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_returned(pair: Pair, name: str) -> None:
    """A handler that returns this value has it sent alike."""
    pair.same(post({"how": "return", "values": [name]}))


@pytest.mark.parametrize("how", ["yield", "async yield"])
@pytest.mark.parametrize("name", [*VALUES, *FAILING])
def test_a_value_that_is_yielded(pair: Pair, name: str, how: str) -> None:
    """A generator that yields this value, and one more after it, has both sent alike."""
    pair.same(post({"how": how, "values": [name, "text"]}))


@pytest.mark.parametrize("name", FAILING)
def test_a_value_that_cannot_be_written(pair: Pair, name: str) -> None:
    """A difference in the log alone: an invocation whose value cannot be written has not completed before it fails."""
    original, ours = pair.see(post({"how": "return", "values": [name]}))

    assert answer_without(ours.answer) == answer_without(original.answer)
    told_original, told = lines_without(original.lines), lines_without(ours.lines)
    assert [line["message"] for line in told_original] == [
        "Invocation completed successfully (0s)",
        "Invocation failed (0s)",
    ]
    assert told == told_original[1:]


@given(value=JSON)
@settings(STEADY, max_examples=200)
def test_any_value(echo: Pair, value: object) -> None:
    """Whatever JSON comes in goes out alike."""
    echo.same(post(value))


@given(text=TEXT)
@settings(STEADY, max_examples=100)
def test_any_text(echo: Pair, text: str) -> None:
    """Whatever text is returned is sent alike."""
    echo.same(post({"how": "text", "text": text}))


@given(text=UNSPEAKABLE_TEXT)
@settings(STEADY, max_examples=50)
def test_any_text_with_a_lone_surrogate(echo: Pair, text: str) -> None:
    """A difference: a lone surrogate, which models do emit, arrives as its JSON escape; the original answers 500."""
    original, ours = echo.see(post({"how": "text", "text": text}))

    assert original.answer.status == 500
    assert ours.answer.status == 200
    assert ours.answer.json == text


@pytest.mark.parametrize("how", ["items", "async items"])
def test_an_item_with_a_lone_surrogate(echo: Pair, how: str) -> None:
    """A difference: an item with a lone surrogate arrives, and those after it; the original ends the stream there."""
    original, ours = echo.see(post({"how": how, "items": ["one", "half \ud83d", "three"]}))

    assert b"UnicodeEncodeError" in original.answer.body
    assert ours.answer.body == b'data: "one"\n\ndata: "half \\ud83d"\n\ndata: "three"\n\n'


@pytest.mark.parametrize("how", ["items", "async items"])
@given(items=st.lists(JSON, max_size=5))
@settings(STEADY, max_examples=60)
def test_any_items(echo: Pair, how: str, items: list[object]) -> None:
    """Whatever items a generator of either kind yields are sent as the same events."""
    echo.same(post({"how": how, "items": items}))
