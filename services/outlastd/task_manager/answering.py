"""How a servicer says no: the one place where our errors become gRPC's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from outlast.core.errors import OutlastError
from outlast.telemetry.log import get_logger
from outlast.wire.errors import DETAILS_KEY, make_status, to_status

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_CODES = {code.value[0]: code for code in grpc.StatusCode}


@asynccontextmanager
async def answering(context: Context) -> AsyncIterator[None]:
    """Turn an error that is raised inside into the status of the call.

    What is no OutlastError is a bug: INTERNAL to the caller, with its traceback in the log.
    """
    try:
        yield
    except OutlastError as error:
        await abort(context, to_status(error))
    except grpc.aio.AbortError:
        raise
    except Exception as error:
        get_logger().error("call failed", error=error)
        await abort(context, make_status(code_pb2.INTERNAL, "internal error", "INTERNAL"))


async def abort(context: Context, status: Status) -> None:
    """End a call with a status and its details."""
    await context.abort(
        _CODES[status.code], status.message, trailing_metadata=((DETAILS_KEY, status.SerializeToString()),)
    )
