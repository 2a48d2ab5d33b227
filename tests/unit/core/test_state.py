"""The states, and the moves between them."""

from __future__ import annotations

import pytest

from outlast.core.state import TERMINAL, TRANSITIONS, TaskState

#: Said here once more, by hand: a change of the table must be meant.
MOVES = {
    "SUBMITTED": {"WORKING", "FAILED", "CANCELED", "REJECTED"},
    "WORKING": {"SUBMITTED", "COMPLETED", "FAILED", "CANCELED", "REJECTED", "INPUT_REQUIRED", "AUTH_REQUIRED"},
    "INPUT_REQUIRED": {"SUBMITTED", "WORKING", "FAILED", "CANCELED", "REJECTED"},
    "AUTH_REQUIRED": {"SUBMITTED", "WORKING", "FAILED", "CANCELED", "REJECTED"},
    "COMPLETED": set(),
    "FAILED": set(),
    "CANCELED": set(),
    "REJECTED": set(),
}


def test_numbers_are_those_of_a2a() -> None:
    """Names and numbers are those of A2A and of the proto."""
    assert {state.name: state.value for state in TaskState} == {
        "SUBMITTED": 1,
        "WORKING": 2,
        "COMPLETED": 3,
        "FAILED": 4,
        "CANCELED": 5,
        "INPUT_REQUIRED": 6,
        "REJECTED": 7,
        "AUTH_REQUIRED": 8,
    }


def test_table() -> None:
    """The table says what is written here, for every state."""
    assert {state.name: {to.name for to in row} for state, row in TRANSITIONS.items()} == MOVES


@pytest.mark.parametrize("state", TaskState)
def test_terminal(state: TaskState) -> None:
    """A state is terminal when nothing leaves it."""
    assert state.terminal == (state.name in {"COMPLETED", "FAILED", "CANCELED", "REJECTED"}) == (state in TERMINAL)


@pytest.mark.parametrize("state", TaskState)
def test_every_state_can_end(state: TaskState) -> None:
    """From every state that is not terminal a task can be failed and canceled: none is stuck."""
    if not state.terminal:
        assert {TaskState.FAILED, TaskState.CANCELED} <= TRANSITIONS[state]
