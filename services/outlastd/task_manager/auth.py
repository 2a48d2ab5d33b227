"""Who may call: bearer tokens, one for TaskService and one for WorkerService, and what may be served unprotected."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.rpc import code_pb2

from outlast.core.errors import StartRefused
from outlast.wire.errors import make_status
from outlastd.task_manager.answering import Context, abort

_HEALTH = "/grpc.health.v1.Health/"
_WORKERS = "/outlast.v1.WorkerService/"
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Access:
    """What protects a listener."""

    #: What callers of TaskService and of reflection have to show; empty for nothing.
    token: str = ""
    #: What workers have to show; empty for nothing.
    worker_token: str = ""
    #: Whether it was said aloud that no token is wanted.
    insecure: bool = False
    #: Paths of PEM files; both or neither.
    tls_cert: str = ""
    tls_key: str = ""


def check_exposure(address: str, access: Access, *, workers: bool) -> None:
    """Check that a listener beyond loopback is protected; ``workers``: it serves WorkerService too.

    Raises:
        StartRefused: it is not, and nobody has said that it should not be.
    """
    if access.insecure or (access.token and (access.worker_token or not workers)):
        return
    tokens = "OUTLAST_TOKEN and OUTLAST_WORKER_TOKEN" if workers else "OUTLAST_TOKEN"
    raise StartRefused(
        f"the task manager will not listen on {address}, which other machines can reach, without {tokens} "
        "(best with OUTLAST_TLS_CERT and OUTLAST_TLS_KEY) or, to serve anybody, OUTLAST_INSECURE=1"
    )


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Lets a call through when it shows the token of its service. Health is free; reflection is TaskService's."""

    def __init__(self, access: Access) -> None:
        self._token = access.token.encode()
        self._worker_token = access.worker_token.encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of a call, or one that refuses it."""
        method = handler_call_details.method
        token = self._worker_token if method.startswith(_WORKERS) else self._token
        if not token or method.startswith(_HEALTH) or _shows(handler_call_details, token):
            return await continuation(handler_call_details)
        return grpc.stream_stream_rpc_method_handler(_refuse)


def caller_of(context: Context) -> str:
    """Return what tells one caller from another: a digest of the token that it showed, empty when it showed none."""
    token = _token_in(context.invocation_metadata())
    return hashlib.sha256(token).hexdigest() if token is not None else ""


def _shows(details: grpc.HandlerCallDetails, token: bytes) -> bool:
    shown = _token_in(details.invocation_metadata)
    return shown is not None and hmac.compare_digest(shown, token)


def _token_in(metadata: Iterable[tuple[str, str | bytes]] | None) -> bytes | None:
    """Return the bearer token in a call's metadata, None when there is none."""
    for key, value in metadata or ():
        if key == "authorization" and isinstance(value, str) and value[: len(_BEARER)].lower() == _BEARER:
            return value[len(_BEARER) :].encode()
    return None


async def _refuse(_requests: object, context: Context) -> NoReturn:
    message = "this task manager wants a token: metadata `authorization: Bearer TOKEN`"
    await abort(context, make_status(code_pb2.UNAUTHENTICATED, message, "UNAUTHENTICATED"))
    raise AssertionError("abort raises")
