"""Errors on the wire and back."""

from __future__ import annotations

import pytest
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from outlast.core.errors import (
    BacklogFull,
    IdempotencyConflict,
    IllegalTransition,
    InvalidField,
    LeaseLost,
    OutlastError,
    SessionHeld,
    SessionNotFound,
    StartRefused,
    StoreRefused,
    StoreUnavailable,
    TaskExists,
    TaskManagerUnavailable,
    TaskNotFound,
)
from outlast.core.task import TaskError
from outlast.wire.errors import MAX_MESSAGE, TABLE, from_status, task_error_from_status, task_error_to_status, to_status

EXAMPLES: list[OutlastError] = [
    TaskNotFound(7),
    TaskExists(7),
    InvalidField("name", "is empty"),
    IllegalTransition(7, "COMPLETED", "CANCELED"),
    IdempotencyConflict("key", 7),
    LeaseLost(7, 1, 2),
    SessionNotFound("sessions/agent/a"),
    SessionHeld("sessions/agent/a", "host"),
    BacklogFull("too much waits"),
    StoreRefused("too big"),
    TaskManagerUnavailable("gone"),
    StartRefused("port taken"),
]


def test_the_table_covers_every_error() -> None:
    """Each class of OutlastError has its row, and no row stands for anything else."""
    assert set(TABLE) == {kind for kind in OutlastError.__subclasses__() if kind.__module__ == OutlastError.__module__}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_as_itself(error: OutlastError) -> None:
    """Class, message and fields survive the wire."""
    back = from_status(Status.FromString(to_status(error).SerializeToString()))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert {name: getattr(back, name) for name in TABLE[type(error)].fields} == {
        name: getattr(error, name) for name in TABLE[type(error)].fields
    }


def test_a_store_that_is_away_is_a_task_manager_that_is_away() -> None:
    """A client cannot tell the two apart, and need not."""
    back = from_status(to_status(StoreUnavailable("disk full")))
    assert type(back) is TaskManagerUnavailable
    assert str(back) == "disk full"


def test_a_status_of_somebody_else_is_said_as_it_is() -> None:
    """What did not come from a task manager of ours is no answer from it."""
    back = from_status(Status(code=code_pb2.PERMISSION_DENIED, message="proxy says no"))
    assert type(back) is TaskManagerUnavailable
    assert "PERMISSION_DENIED: proxy says no" in str(back)
    assert "77" in str(from_status(Status(code=77)))


def test_a_status_fits_the_trailers() -> None:
    """However long a message is, HTTP/2 trailers of 8 KiB hold it with its details, percent-encoding included."""
    status = to_status(StoreRefused("日" * 100_000))
    assert len(status.message) == MAX_MESSAGE
    assert len(status.SerializeToString()) + len(status.message.encode()) * 3 < 8 * 1024


def test_a_tasks_error_survives() -> None:
    """Code, message and type."""
    error = TaskError(2, "no such page: é", "LookupError")
    status = task_error_to_status(error)
    assert status is not None
    assert task_error_from_status(status) == error
    assert task_error_from_status(Status(code=2, message="bare")) == TaskError(2, "bare", "")
    assert task_error_to_status(None) is None
