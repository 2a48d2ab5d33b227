"""What may enter the system."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.core.errors import InvalidField
from outlast.core.validation import (
    MAX_LABEL_VALUE,
    MAX_LABELS,
    MAX_NAME,
    check_attempts,
    check_duration,
    check_labels,
    check_text,
    clean_text,
)


@pytest.mark.parametrize("value", ["", "a", "näme", "日本語", "😀", "a b", "x" * MAX_NAME])
def test_good_text(value: str) -> None:
    """Printable text of any script within the limit is taken as it is."""
    assert check_text("field", value, MAX_NAME) is value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("a\x00b", r"U\+0000"),
        ("a\nb", r"U\+000A"),
        ("\x7f", r"U\+007F"),
        ("\ud800", r"U\+D800"),
        ("\udfff", r"U\+DFFF"),
        ("x" * 1001, "1,001 characters, over the limit of 1,000"),
        (b"bytes", "is bytes, not a string"),
        (None, "is NoneType, not a string"),
        (7, "is int, not a string"),
    ],
)
def test_bad_text(value: object, why: str) -> None:
    """What a store or a wire cannot hold as text is refused, with the field and the reason."""
    with pytest.raises(InvalidField, match=f"^session_id: .*{why}") as refused:
        check_text("session_id", value, 1000)

    assert refused.value.field == "session_id"


def test_required_text() -> None:
    """A required field may not be empty."""
    with pytest.raises(InvalidField, match=r"^task_type: is empty$"):
        check_text("task_type", "", MAX_NAME, required=True)


def test_good_labels() -> None:
    """Labels up to the limits are taken as they are."""
    labels = {f"{number:0{MAX_NAME}}": "x" * MAX_LABEL_VALUE for number in range(MAX_LABELS)}

    assert check_labels(labels) is labels
    assert check_labels({}) == {}


@pytest.mark.parametrize(
    "labels",
    [
        {"": "value"},
        {"x" * (MAX_NAME + 1): "value"},
        {"key": "x" * (MAX_LABEL_VALUE + 1)},
        {"key": 7},
        {7: "value"},
        {"key": "a\x00b"},
        {str(number): "" for number in range(MAX_LABELS + 1)},
    ],
)
def test_bad_labels(labels: dict[str, str]) -> None:
    """Labels that are too many, too long or no text are refused."""
    with pytest.raises(InvalidField, match=r"^labels"):
        check_labels(labels)


@pytest.mark.parametrize(
    ("value", "clean"),
    [("plain", "plain"), ("a\x00b", "a\\x00b"), ("\ud800", "\\ud800"), ("x" * 11, "x" * 9 + "…"), ("é\n", "é\n")],
)
def test_clean_text(value: str, clean: str) -> None:
    """What text cannot hold is spelled out, and what is too long is cut and says so."""
    assert clean_text(value, 10) == clean


@given(st.text(st.characters(codec=None), max_size=50), st.integers(1, 60))
def test_clean_text_is_always_text(value: str, limit: int) -> None:
    """Any string becomes text that can be encoded, within the limit, without NUL."""
    clean = clean_text(value, limit)

    assert clean.encode().decode() == clean
    assert len(clean) <= limit
    assert "\x00" not in clean


@pytest.mark.parametrize("value", [1, 2, 1000])
def test_good_attempts(value: int) -> None:
    """One to a thousand."""
    assert check_attempts("field", value) == value


@pytest.mark.parametrize("value", [0, -1, 1001, True, 1.0, "1", None])
def test_bad_attempts(value: object) -> None:
    """Anything else is refused, with the field's name."""
    with pytest.raises(InvalidField, match="field"):
        check_attempts("field", value)


def test_durations() -> None:
    """Above zero, or zero where that is allowed, up to the limit and not beyond."""
    second, day = timedelta(seconds=1), timedelta(days=1)

    assert check_duration("field", second) == second
    assert check_duration("field", day, day) == day
    assert check_duration("field", timedelta(), zero=True) == timedelta()
    for value, zero in ((timedelta(), False), (-second, False), (-second, True)):
        with pytest.raises(InvalidField, match="above zero"):
            check_duration("field", value, zero=zero)
    with pytest.raises(InvalidField, match="over the limit of 1 days"):
        check_duration("field", day + second, day)
