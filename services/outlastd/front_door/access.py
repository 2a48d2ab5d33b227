"""Whose tasks a request may see (design: section 7, who may do what)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Protocol

from outlast.core.task_id import parse_task_name
from outlast.core.value import value
from outlast.headers import AUTHORIZATION, SESSION_ID
from outlast.v1 import task_pb2
from outlastd.front_door.request import Refusal, Request


@value(frozen=True, slots=True)
class Scope:
    """The tasks that a request may see: those of one agent, and of one session or of all."""

    agent: str
    #: None for every session.
    session_id: str | None

    def covers(self, task: task_pb2.Task) -> bool:
        """Tell whether ``task`` is one of them."""
        return task.agent == self.agent and self.session_id in (None, task.session_id)

    def key(self, key: str) -> str:
        """Return an idempotency key as the task manager, which knows no sessions, is to have it: each has its own."""
        if self.session_id is None or not key:
            return key
        return f"{hashlib.sha256(self.session_id.encode('utf-8', 'replace')).hexdigest()[:32]}:{key}"


class Scopes(Protocol):
    """Knows which tasks a request may see."""

    def scope_of(self, request: Request) -> Scope:
        """Return what the request may see. Raises Refusal when that is nothing."""
        ...


class Access:
    """Knows the agent and the token that lifts the limits."""

    def __init__(self, agent: str, token: str = "") -> None:
        self._agent = agent
        self._token = token.encode()

    def scope_of(self, request: Request) -> Scope:
        """Return what the request may see: all with the token, its session's, or all for somebody on this machine.

        Raises:
            Refusal: 403; it names no session and comes from elsewhere.
        """
        if self._shows_token(request):
            return Scope(self._agent, None)
        session_id = request.headers.get(SESSION_ID)
        if session_id:
            return Scope(self._agent, session_id)
        if request.from_loopback:
            return Scope(self._agent, None)
        raise Refusal(403, f"name your session in {SESSION_ID}, or send 'Authorization: Bearer' with OUTLAST_TOKEN")

    def _shows_token(self, request: Request) -> bool:
        scheme, _, token = request.headers.get(AUTHORIZATION, "").partition(" ")
        if not self._token or scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token)


def no_such_task(task_id: str) -> Refusal:
    """Return the refusal for a task that is not there, or that is none of the caller's business."""
    return Refusal(404, f"tasks/{task_id} does not exist", code="NOT_FOUND", name=f"tasks/{task_id}")


def task_name(task_id: str) -> str:
    """Return the resource name for what stands in a path; raise Refusal with 404 when it can be no task's id."""
    name = f"tasks/{task_id}"
    if parse_task_name(name) is None:
        raise no_such_task(task_id)
    return name
