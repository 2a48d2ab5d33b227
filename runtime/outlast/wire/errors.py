"""Errors on the wire: one table from each OutlastError to its status, and the way back.

Every status carries ``ErrorInfo{reason=code, domain="outlast.dev"}`` (AIP-193), with the fields of the error as its
metadata, and the standard detail of its kind for clients that know nothing of outlast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from outlast.core.errors import (
    BacklogFull,
    ErrorCode,
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
from outlast.core.validation import clean_text
from outlast.core.value import value

#: The domain of every ErrorInfo that is ours.
DOMAIN = "outlast.dev"
#: The trailing metadata that carries a Status (gRPC's richer error model).
DETAILS_KEY = "grpc-status-details-bin"
#: Characters of a message: with its details it has to fit the 8 KiB of HTTP/2 trailers that every client takes.
MAX_MESSAGE = 512
#: When a client may come again after UNAVAILABLE or RESOURCE_EXHAUSTED.
RETRY_SECONDS = 1


@value(frozen=True, slots=True)
class Row:
    """How one class of errors looks on the wire."""

    #: A google.rpc.Code.
    code: int
    #: The attributes of the error that travel, in ErrorInfo's metadata.
    fields: tuple[str, ...] = ()
    #: Makes the standard detail of this kind of error.
    detail: Callable[[Any], Any] | None = None


def _resource(error: TaskNotFound | TaskExists) -> Any:
    return ResourceInfo(resource_type=f"{DOMAIN}/Task", resource_name=error.name, description=error.message)


def _session(error: SessionNotFound) -> Any:
    return ResourceInfo(resource_type=f"{DOMAIN}/Session", resource_name=error.name, description=error.message)


def _bad_request(error: InvalidField) -> Any:
    return BadRequest(field_violations=[BadRequest.FieldViolation(field=error.field, description=error.why)])


def _precondition(error: IllegalTransition | IdempotencyConflict) -> Any:
    violation = PreconditionFailure.Violation(type=error.state, subject=error.name, description=error.message)
    return PreconditionFailure(violations=[violation])


def _retry(error: OutlastError) -> Any:
    return RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS))


#: Every class of OutlastError, and nothing else.
TABLE: Mapping[type[OutlastError], Row] = {
    TaskNotFound: Row(code_pb2.NOT_FOUND, ("name",), _resource),
    TaskExists: Row(code_pb2.ALREADY_EXISTS, ("name",), _resource),
    InvalidField: Row(code_pb2.INVALID_ARGUMENT, ("field", "why"), _bad_request),
    IllegalTransition: Row(code_pb2.FAILED_PRECONDITION, ("name", "state"), _precondition),
    IdempotencyConflict: Row(code_pb2.FAILED_PRECONDITION, ("name", "state"), _precondition),
    LeaseLost: Row(code_pb2.ABORTED, ("name",)),
    SessionNotFound: Row(code_pb2.NOT_FOUND, ("name",), _session),
    SessionHeld: Row(code_pb2.FAILED_PRECONDITION, ("name", "host")),
    BacklogFull: Row(code_pb2.RESOURCE_EXHAUSTED, (), _retry),
    StoreRefused: Row(code_pb2.INVALID_ARGUMENT),
    StoreUnavailable: Row(code_pb2.UNAVAILABLE, (), _retry),
    TaskManagerUnavailable: Row(code_pb2.UNAVAILABLE, (), _retry),
    StartRefused: Row(code_pb2.FAILED_PRECONDITION),
}

#: Which class a reason stands for. To a client, a store that is away is a task manager that is away.
_CLASSES: Mapping[str, type[OutlastError]] = {
    ErrorCode.NOT_FOUND: TaskNotFound,
    ErrorCode.ALREADY_EXISTS: TaskExists,
    ErrorCode.INVALID_ARGUMENT: InvalidField,
    ErrorCode.FAILED_PRECONDITION: IllegalTransition,
    ErrorCode.LEASE_LOST: LeaseLost,
    ErrorCode.RESOURCE_EXHAUSTED: BacklogFull,
    ErrorCode.STORE_REFUSED: StoreRefused,
    ErrorCode.UNAVAILABLE: TaskManagerUnavailable,
    ErrorCode.START_REFUSED: StartRefused,
}


def to_status(error: OutlastError) -> Status:
    """Return the status of an error, with its details."""
    row = TABLE[type(error)]
    fields = {name: getattr(error, name) for name in row.fields}
    details = [row.detail(error)] if row.detail else []
    return make_status(row.code, error.message, error.code, fields, details)


def make_status(
    code: int, message: str, reason: str, fields: Mapping[str, str] | None = None, details: Iterable[Any] = ()
) -> Status:
    """Return a status with our ErrorInfo, and with further details after it."""
    status = Status(code=code, message=clean_text(message, MAX_MESSAGE))
    status.details.add().Pack(ErrorInfo(reason=reason, domain=DOMAIN, metadata=fields))
    for detail in details:
        status.details.add().Pack(detail)
    return status


def from_status(status: Status) -> OutlastError:
    """Return the error that a status stands for.

    A status that is not ours (a proxy's, a refused token, a bug) is TaskManagerUnavailable: the task manager did not
    answer the question, and the message says with what it was answered instead.
    """
    info = _error_info(status.details)
    if info is None:
        name = code_pb2.Code.Name(status.code) if status.code in code_pb2.Code.values() else str(status.code)
        return TaskManagerUnavailable(f"the task manager did not answer: {name}: {status.message}")
    kind = _CLASSES.get(info.reason, TaskManagerUnavailable)
    if info.metadata.get("state") == "IDEMPOTENCY_KEY_USED":
        kind = IdempotencyConflict
    elif info.metadata.get("name", "").startswith("sessions/"):
        kind = SessionHeld if kind is IllegalTransition else SessionNotFound
    # Not through the constructor: it would compose the message anew from what did not travel.
    error = kind.__new__(kind)
    OutlastError.__init__(error, status.message)
    for field in TABLE[kind].fields:
        setattr(error, field, info.metadata.get(field, ""))
    return error


class RpcFailure(Protocol):
    """What is read of a failed call: the shape of ``grpc.aio.AioRpcError`` and of ``grpc.Call``."""

    def code(self) -> Any:
        """Return the grpc.StatusCode."""
        ...

    def details(self) -> str | None:
        """Return the message."""
        ...

    def trailing_metadata(self) -> Any:
        """Return pairs of key and value."""
        ...


def from_rpc_error(failure: RpcFailure) -> OutlastError:
    """Return the error that a failed gRPC call stands for."""
    return from_status(_status_of(failure))


def retry_seconds(failure: RpcFailure) -> float | None:
    """Return after how many seconds a failed gRPC call may be tried again, where it says so; None where it does not."""
    for detail in _status_of(failure).details:
        info = RetryInfo()
        if detail.Is(RetryInfo.DESCRIPTOR) and detail.Unpack(info):
            return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return None


def _status_of(failure: RpcFailure) -> Status:
    for key, detail in failure.trailing_metadata() or ():
        if key == DETAILS_KEY:
            try:
                return Status.FromString(detail)
            except DecodeError:
                break
    return Status(code=failure.code().value[0], message=failure.details() or "")


def task_error_to_status(error: TaskError | None) -> Status | None:
    """Return what went wrong with a task; None as None, which leaves a message's field unset."""
    if error is None:
        return None
    status = Status(code=error.code, message=error.message)
    status.details.add().Pack(ErrorInfo(reason=error.type, domain=DOMAIN))
    return status


def task_error_from_status(status: Status) -> TaskError:
    """Return what went wrong with a task."""
    info = _error_info(status.details)
    return TaskError(code=status.code, message=status.message, type=info.reason if info else "")


def _error_info(details: Iterable[AnyMessage]) -> Any:
    """Return the ErrorInfo that is ours, or None."""
    for detail in details:
        info = ErrorInfo()
        if detail.Is(ErrorInfo.DESCRIPTOR) and detail.Unpack(info) and info.domain == DOMAIN:
            return info
    return None
