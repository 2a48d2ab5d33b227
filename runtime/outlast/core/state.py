"""The states of a task and the moves between them. Everything that decides a transition lives here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType


class TaskState(IntEnum):
    """Where a task stands; names and numbers are those of A2A (and of ``Task.State`` in the proto)."""

    SUBMITTED = 1
    WORKING = 2
    COMPLETED = 3
    FAILED = 4
    CANCELED = 5
    INPUT_REQUIRED = 6
    REJECTED = 7
    AUTH_REQUIRED = 8

    @property
    def terminal(self) -> bool:
        """Whether no transition leaves this state."""
        return not TRANSITIONS[self]


_S = TaskState

#: From each state, the states that a task may move to. A terminal state has an empty row: promise 2.
#: WORKING to WORKING is not a move: a new attempt goes through SUBMITTED, so that every attempt has its own start.
TRANSITIONS: Mapping[TaskState, frozenset[TaskState]] = MappingProxyType(
    {
        _S.SUBMITTED: frozenset({_S.WORKING, _S.FAILED, _S.CANCELED, _S.REJECTED}),
        _S.WORKING: frozenset(
            {
                _S.SUBMITTED,  # released or lost, and its policy says to run again
                _S.COMPLETED,
                _S.FAILED,
                _S.CANCELED,
                _S.REJECTED,
                _S.INPUT_REQUIRED,
                _S.AUTH_REQUIRED,
            }
        ),
        _S.INPUT_REQUIRED: frozenset({_S.SUBMITTED, _S.WORKING, _S.FAILED, _S.CANCELED, _S.REJECTED}),
        _S.AUTH_REQUIRED: frozenset({_S.SUBMITTED, _S.WORKING, _S.FAILED, _S.CANCELED, _S.REJECTED}),
        _S.COMPLETED: frozenset(),
        _S.FAILED: frozenset(),
        _S.CANCELED: frozenset(),
        _S.REJECTED: frozenset(),
    }
)

#: The states that no transition leaves.
TERMINAL: frozenset[TaskState] = frozenset(state for state, row in TRANSITIONS.items() if not row)


class StateReason(StrEnum):
    """Why a task stands where it does, where the state alone does not say it."""

    #: SUBMITTED: no worker of its agent has registered the task type.
    NO_WORKER = "NO_WORKER"
    #: WORKING: somebody asked to cancel it.
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    #: CANCELED: the task canceled itself; nobody asked for it.
    SELF = "SELF"
    #: FAILED: the process that ran it is gone.
    WORKER_LOST = "WORKER_LOST"
    #: FAILED: the process that ran it was told to stop and the grace ran out.
    WORKER_SHUTDOWN = "WORKER_SHUTDOWN"
    #: FAILED: the return value is over the limit, or cannot be kept.
    RESULT_REFUSED = "RESULT_REFUSED"
    #: FAILED: the store refused what the task wanted written.
    STORE_REFUSED = "STORE_REFUSED"
