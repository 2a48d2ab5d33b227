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

    #: Whether no transition leaves this state.
    terminal: bool


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

for _state in TaskState:
    _state.terminal = _state in TERMINAL


class StateReason(StrEnum):
    """Why a task stands where it does, where the state alone does not say it."""

    #: SUBMITTED: no worker of its agent had registered the task type when it was created.
    NO_WORKER = "NO_WORKER"
    #: SUBMITTED: the worker that holds it runs as many tasks as it may.
    WORKER_BUSY = "WORKER_BUSY"
    #: SUBMITTED: an attempt failed; the next one waits until ``next_attempt_at``.
    BACKOFF = "BACKOFF"
    #: FAILED: no worker has started it within its queue timeout.
    QUEUE_TIMEOUT = "QUEUE_TIMEOUT"
    #: FAILED: an attempt took longer than the task's timeout.
    DEADLINE = "DEADLINE"
    #: WORKING: somebody asked to cancel it. CANCELED: it followed, or there was no code to reach.
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    #: CANCELED: it did not follow within the grace and was ended by force.
    CANCEL_FORCED = "CANCEL_FORCED"
    #: CANCELED: the task canceled itself; nobody asked for it.
    SELF = "SELF"
    #: FAILED, or SUBMITTED for another attempt: the process that ran it is gone, or lost its lease.
    WORKER_LOST = "WORKER_LOST"
    #: FAILED, or SUBMITTED for another attempt: the process that ran it was told to stop and the grace ran out.
    WORKER_SHUTDOWN = "WORKER_SHUTDOWN"
    #: FAILED: the worker that was given it has no function that takes its recorded arguments.
    INPUT_REFUSED = "INPUT_REFUSED"
    #: FAILED: the return value is over the limit, or cannot be kept.
    RESULT_REFUSED = "RESULT_REFUSED"
    #: FAILED: the store refused what the task wanted written.
    STORE_REFUSED = "STORE_REFUSED"
