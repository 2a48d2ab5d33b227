"""What AgentCore would not have allowed is logged, once, and only where it was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from outlast.core.session import SessionKey
from outlastd.session_host.strict import CUT_OFF, ENDED, REFUSED, Strict

from ..clock import Clock

KEY = SessionKey("agent", "s" * 33)
Said = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    """Return the lines that were logged since the last time."""
    return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("look", "message", "what"),
    [
        (lambda strict: strict.request(KEY, 100_000_001), REFUSED, "payload"),
        (lambda strict: strict.answered(KEY, 900.5), CUT_OFF, "seconds until the answer"),
        (lambda strict: strict.answer_ended(KEY, 1, 100_000_001, 1, False), CUT_OFF, "answer"),
        (lambda strict: strict.answer_ended(KEY, 3_601, 1, 1, True), CUT_OFF, "seconds of a stream"),
        (lambda strict: strict.answer_ended(KEY, 1, 10_000_001, 10_000_001, True), CUT_OFF, "chunk of a stream"),
        (lambda strict: strict.connection_ended(KEY, 3_601), CUT_OFF, "seconds of a WebSocket connection"),
        (lambda strict: strict.frame(KEY, 65_537), CUT_OFF, "WebSocket frame"),
        (lambda strict: strict.idle(KEY, 900.5), ENDED, "idle seconds"),
        (lambda strict: strict.age(KEY, 28_800.5), ENDED, "seconds of life"),
        (lambda strict: strict.environment("agent", 4_097), REFUSED, "variables"),
    ],
)
def test_what_is_over_a_limit_is_said(look: Callable[[Strict], None], message: str, what: str, said: Said) -> None:
    """One warning with what was found and what the limit is; nothing where nobody asked for it."""
    look(Strict(False))
    assert said() == []

    look(Strict(True))
    [line] = said()
    assert (line["level"], line["message"], line["what"], line["agent"]) == ("WARNING", message, what, "agent")
    assert line["limit"]
    assert len(line["session"]) <= 512


def test_what_is_within_the_limits_is_not_said(said: Said) -> None:
    """The limits themselves are allowed."""
    strict = Strict(True, Clock())
    strict.request(KEY, 100_000_000)
    strict.answered(KEY, 900)
    strict.answer_ended(KEY, 3_600, 100_000_000, 10_000_000, True)
    strict.connection_ended(KEY, 3_600)
    strict.answer_ended(KEY, 5_000, 20_000_000, 20_000_000, False)  # in one piece: `answered` has looked at its time
    strict.frame(KEY, 65_536)
    strict.idle(KEY, 900)
    strict.age(KEY, 28_800)
    strict.environment("agent", 4_096)

    assert said() == []


def test_a_session_is_told_of_once_while_it_lives(said: Said) -> None:
    """Its monitor looks every other second; the next run of the same id is another life."""
    strict = Strict(True)
    for seconds in (901.0, 902.0, 903.0):
        strict.idle(KEY, seconds)
    strict.idle(SessionKey("agent", "t" * 33), 901)
    assert [line["found"] for line in said()] == [901.0, 901]

    strict.ended(KEY)
    strict.idle(KEY, 904)
    assert len(said()) == 1


def test_more_than_25_sessions_begin_within_a_second(said: Said) -> None:
    """The 26th is one too many; a second after the first there is room for one."""
    clock = Clock()
    strict = Strict(True, clock)
    for number in range(25):
        strict.session_begun(SessionKey("agent", f"{number}"))
    assert said() == []

    strict.session_begun(SessionKey("agent", "25"))
    assert [line["what"] for line in said()] == ["sessions begun within a second"]
    clock.now += 1.0
    strict.session_begun(SessionKey("agent", "26"))
    assert said() == []


def test_more_than_250_frames_within_a_second(said: Said) -> None:
    """Each session has its own count, and is told of once."""
    clock = Clock()
    strict = Strict(True, clock)
    for _ in range(250):
        strict.frame(KEY, 1)
    strict.frame(SessionKey("agent", "other"), 1)
    assert said() == []

    for _ in range(5):
        strict.frame(KEY, 1)
    assert [line["what"] for line in said()] == ["WebSocket frames within a second"]
