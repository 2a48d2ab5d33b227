"""Who may call: bearer tokens, one for each service and one for each session, and what may be served unprotected."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.rpc import code_pb2

from outlast.core.errors import StartRefused
from outlast.core.value import value
from outlast.wire.errors import make_status
from outlastd.task_manager import session_tokens
from outlastd.task_manager.answering import Context, abort
from outlastd.task_manager.scope import EVERYTHING, Scope

_HEALTH = "/grpc.health.v1.Health/"
_TASKS = "/outlast.v1.TaskService/"
_WORKERS = "/outlast.v1.WorkerService/"
_BEARER = "bearer "

#: What the call under way may reach: set before its handler is called, in the context that is the call's own.
_scope: ContextVar[Scope] = ContextVar("_scope", default=EVERYTHING)


@value(frozen=True, slots=True)
class Access:
    """What protects a listener."""

    #: What callers of TaskService and of reflection have to show; empty for nothing.
    token: str = ""
    #: What workers have to show; empty for nothing. The tokens of sessions are made from it (session_tokens.py).
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
    """Lets a call through when it shows the token of its service, or, to reach no more than that, the one of a session.

    Health is free; reflection is for TaskService's token.
    """

    def __init__(self, access: Access) -> None:
        self._token = access.token
        self._worker_token = access.worker_token

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the handler of a call, or one that refuses it."""
        method = handler_call_details.method
        wanted = self._worker_token if method.startswith(_WORKERS) else self._token
        shown = _token_in(handler_call_details.invocation_metadata)
        scope = self._scope_of(method, shown)
        _scope.set(scope)
        if scope.key is None and wanted and not method.startswith(_HEALTH) and not _same(shown, wanted):
            return grpc.stream_stream_rpc_method_handler(_refuse)
        return await continuation(handler_call_details)

    def _scope_of(self, method: str, shown: str | None) -> Scope:
        """Return what the token of a session that a call shows lets it reach; everything where it shows none."""
        if shown is None or not method.startswith((_TASKS, _WORKERS)):
            return EVERYTHING
        return Scope(session_tokens.read(self._worker_token, shown))


def scope_of_call() -> Scope:
    """Return what the call that this is running for may reach."""
    return _scope.get()


def caller_of(context: Context) -> str:
    """Return what tells one caller from another: a digest of the token that it showed, empty when it showed none."""
    token = _token_in(context.invocation_metadata())
    return hashlib.sha256(token.encode()).hexdigest() if token is not None else ""


def _same(shown: str | None, wanted: str) -> bool:
    return shown is not None and hmac.compare_digest(shown.encode(), wanted.encode())


def _token_in(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    """Return the bearer token in a call's metadata, None when there is none."""
    for key, held in metadata or ():
        if key == "authorization" and isinstance(held, str) and held[: len(_BEARER)].lower() == _BEARER:
            return held[len(_BEARER) :]
    return None


async def _refuse(_requests: object, context: Context) -> NoReturn:
    message = "this task manager wants a token: metadata `authorization: Bearer TOKEN`"
    await abort(context, make_status(code_pb2.UNAUTHENTICATED, message, "UNAUTHENTICATED"))
    raise AssertionError("abort raises")
