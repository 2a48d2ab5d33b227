"""What is taken as a value of a kind, how another is refused, and where in it something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from outlast.core.errors import StartRefused
from outlast.settings.kinds import Unfit, WrongKey, problems, read
from outlast.settings.model import FIELDS, load_settings
from outlast.settings.values import Count, ExistingFile, HostNames, LogKeys, LogLevel, Port, Seconds


@attrs.frozen(kw_only=True)
class Part:
    """A table within another."""

    least: int
    most: Count | None = None

    def __attrs_post_init__(self) -> None:
        if self.most is not None and self.most < self.least:
            raise WrongKey("most", "it is less than least")


@attrs.frozen(kw_only=True)
class Whole:
    """A table."""

    part: Part | None = None
    parts: dict[str, Part] = attrs.field(factory=dict)
    names: tuple[str, ...] = ()


def why(kind: Any, value: object) -> list[tuple[str, str]]:
    """Return where something is wrong with a value, and what."""
    with pytest.raises(Exception) as refused:  # noqa: PT011  # what it is, problems says
        read(kind, value)
    return [(".".join(map(str, place)), str(problem)) for place, problem in problems(refused.value)]


@pytest.mark.parametrize(
    ("words", "value"),
    [("1 on ON true True t y yes YES", True), ("0 off OFF false False f n no NO", False)],
)
def test_a_switch_is_written_as_people_write_it(words: str, value: bool) -> None:
    """Several words for on and off, in any case."""
    assert {read(bool, word) for word in words.split()} == {value} == {read(bool, value), read(bool, int(value))}


@pytest.mark.parametrize("value", ["", " on", "on ", "2", "enabled", "None", "1.0", 2, -1])
def test_other_words_are_no_switch(value: object) -> None:
    """Nobody wonders what they have switched."""
    assert why(bool, value) == [("", "write on or off")]


@pytest.mark.parametrize(
    ("text", "number"),
    [("8080", 8080), (" 8080\n", 8080), ("1_000", 1000), ("+7", 7), ("007", 7), ("7.0", 7), ("1_0.00 ", 10), ("0", 0)],
)
def test_a_whole_number_is_written_as_people_write_it(text: str, number: int) -> None:
    """With zeros, underscores and blanks where they do no harm."""
    assert read(int, text) == number


@pytest.mark.parametrize(
    "text", ["", " ", "7.", ".0", "7.5", "1e3", "0x7", "1__0", "_1", "1,000", "- 7", "٣", "inf", "nan", "9" * 5_000]
)
def test_other_texts_are_no_whole_number(text: str) -> None:
    """Nothing is rounded, or guessed."""
    assert why(Count, text) == [("", "write a whole number")]


@pytest.mark.parametrize(
    ("kind", "value", "taken"),
    [(int, 7.0, 7), (int, True, 1), (Seconds, 7, 7.0), (Seconds, "1.5h", 5400.0), (Path, "a//b", Path("a/b"))],
)
def test_a_value_of_code_is_taken_where_nothing_is_lost(kind: Any, value: object, taken: object) -> None:
    """Numbers of either sort, and texts for paths."""
    assert read(kind, value) == taken
    assert type(read(kind, value)) is type(taken)


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (int, 7.5, "it should be a valid integer, got a number with a fractional part"),
        (int, 1e300, "it should be a valid integer"),
        (int, [7], "it should be a valid integer"),
        (int, float("inf"), "it should be a finite number"),
        (bool, 0.5, "it should be a valid boolean"),
        (Seconds, float("nan"), "it should be a finite number"),
        (Seconds, 10**400, "it should be a finite number"),
        (Seconds, [], "it should be a valid number"),
        (Seconds, -1, "it should be greater than or equal to 0"),
        (Seconds, "9000000d", "it should be less than or equal to 315360000"),
        (Count, "0", "it should be greater than 0"),
        (Port, "65536", "it should be less than 65536"),
        (str, 7, "it should be a valid string"),
        (Path, 7, "it should be a path"),
        (ExistingFile, "no/such", "it should be the path of a file"),
        (LogLevel, "loud", "it should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        (Literal["a", "b"], ["a"], "it should be 'a' or 'b'"),
        (HostNames, 7, "it should be an array"),
        (LogKeys, 7, "it should be a table"),
    ],
)
def test_a_value_that_does_not_fit_is_told_without_itself(kind: Any, value: object, told: str) -> None:
    """It may be a secret: whoever knows that it is none shows it."""
    assert why(kind, value) == [("", told)]
    with pytest.raises(Unfit):
        read(kind, value)


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [(Port, " 70000 ", " 70000 "), (Seconds, "9000000d", 777_600_000_000.0), (LogLevel, "loud", "LOUD")],
)
def test_what_does_not_fit_can_be_shown(kind: Any, value: str, shown: object) -> None:
    """A number as it was written, and a time in seconds."""
    with pytest.raises(Unfit) as refused:
        read(kind, value)
    assert refused.value.value == shown


def test_all_that_is_wrong_is_found_and_where() -> None:
    """In tables, arrays and their keys."""
    told = why(
        Whole, {"part": {"most": "0"}, "parts": {"a": {"least": 2, "most": 1}, "b": 1}, "names": ["x", 7], "nmes": ()}
    )
    assert dict(told[:-1]) == {
        "part.least": "'least'",
        "part.most": "it should be greater than 0",
        "parts.a.most": "it is less than least",
        "parts.b": "it should be a table",
        "names.1": "it should be a valid string",
    }
    assert "nmes" in told[-1][1]


def test_a_key_and_its_value_can_both_be_wrong() -> None:
    """Both are told, of each entry."""
    told = why(dict[LogLevel, Count], {"loud": "x", "INFO": "y", "quiet": 1, "ERROR": "2"})
    assert [place for place, _ in told] == ["loud", "quiet", "loud", "INFO"]
    assert read(dict[LogLevel, Count], {"info": "2", "error": 3}) == {"INFO": 2, "ERROR": 3}


def test_settings_do_not_change() -> None:
    """Whoever wants others makes them, and the first ones stay as they are."""
    settings = load_settings(port=1)

    with pytest.raises(AttributeError):
        settings.port = 2  # type: ignore[misc]
    assert (attrs.evolve(settings, port=2).port, settings.port) == (2, 1)
    assert settings.given == {"port"}


def test_all_settings_that_are_wrong_are_told_at_once() -> None:
    """In the order of the page, and nothing of a default that hangs on one of them."""
    with pytest.raises(StartRefused) as refused:
        load_settings(max_tasks=0, agent="a\nb", token="a b", allowed_hosts="a b,%")

    assert [one.partition(":")[0] for one in refused.value.message.split("; ") if ": " in one] == [
        "agent",
        "allowed_hosts",
        "allowed_hosts",
        "token",
        "max_tasks",
    ]


def test_every_default_could_be_given() -> None:
    """None of them would be refused, or become another value."""
    for name, field in FIELDS.items():
        if not isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # to a type checker it is a function
            assert read(field.type, field.default) == field.default, name
