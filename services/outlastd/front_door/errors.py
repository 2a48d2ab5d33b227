"""What the task manager's errors are in HTTP: one table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
import grpc.aio

from outlast.core.errors import OutlastError
from outlast.wire.errors import TABLE, from_rpc_error, retry_seconds
from outlastd.front_door.request import Refusal

#: The HTTP status of each gRPC status that means something to a caller; any other is 500.
HTTP_STATUS: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


@contextmanager
def refusing() -> Iterator[None]:
    """Turn a failed call to the task manager, made inside, into the Refusal that it is to whoever asked over HTTP."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise refusal_of(error) from None


def refusal_of(failure: grpc.aio.AioRpcError) -> Refusal:
    """Return what a failed call to the task manager is to whoever asked over HTTP: ``error``, ``code`` and fields."""
    status = HTTP_STATUS.get(failure.code(), 500)
    error = from_rpc_error(failure)
    fields = {name: getattr(error, name) for name in TABLE[type(error)].fields if getattr(error, name)}
    return Refusal(status, error.message, headers=_come_again(failure), code=_reason(failure, error), **fields)


def _come_again(failure: grpc.aio.AioRpcError) -> dict[str, str]:
    """Return the header that says when to come again, where the task manager does."""
    seconds = retry_seconds(failure)
    return {} if seconds is None else {"Retry-After": str(max(math.ceil(seconds), 1))}


def _reason(failure: grpc.aio.AioRpcError, error: OutlastError) -> str:
    """Return our own reason where the status carries one; what has none reads as UNAVAILABLE, and says its own name."""
    is_ours = TABLE[type(error)].code == failure.code().value[0]
    return str(error.code) if is_ours else failure.code().name
