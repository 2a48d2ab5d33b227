"""What a call may reach: everything, or, with the token of a session, that session of that agent and nothing else.

This is the one place of the rule. To a scoped caller nothing else exists: what it asks of it is answered as if it were
not there.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from outlast.core.errors import InvalidField, SessionNotFound, TaskNotFound
from outlast.core.operation import Operation, Start, Submit
from outlast.core.session import SessionKey
from outlast.core.task import Task
from outlast.core.value import value
from outlast.core.worker import Registration
from outlastd.stores.port import TaskFilter


@value(frozen=True, slots=True)
class Scope:
    """The limits of one call."""

    #: The one session that it may reach; None for everything.
    key: SessionKey | None = None

    def check_task(self, task: Task) -> None:
        """Raise TaskNotFound for a task that is out of reach."""
        if self.key is not None and self.key != SessionKey(task.agent, task.session_id):
            raise TaskNotFound(task.task_id)

    def narrow(self, which: TaskFilter) -> TaskFilter:
        """Return which tasks to list of those that are asked for.

        Raises:
            SessionNotFound: they are another session's.
        """
        if self.key is None:
            return which
        asked = SessionKey(which.agent or self.key.agent, which.session_id or self.key.session_id)
        if asked != self.key:
            raise SessionNotFound(str(asked))
        return replace(which, agent=asked.agent, session_id=asked.session_id)

    def place(self, agent: str, session_id: str, field: str = "") -> tuple[str, str]:
        """Return the agent and the session of a new task, which may name neither.

        Raises:
            InvalidField: it is to be another session's. ``field`` is what stands before the fields' names.
        """
        if self.key is None:
            return agent, session_id
        if agent not in ("", self.key.agent):
            raise InvalidField(f"{field}agent", "is not the agent that the token is for")
        if session_id not in ("", self.key.session_id):
            raise InvalidField(f"{field}session_id", "is not the session that the token is for")
        return self.key.agent, self.key.session_id

    def admit(self, registration: Registration) -> Registration:
        """Return a worker as it is known to the store.

        The workers of a session have ids of their own: none can pass itself off as another session's, and so take its
        stream or its lease.

        Raises:
            InvalidField: it works for another session or for any, or names a lock file, which nobody opens for it.
        """
        if self.key is None:
            return registration
        self.place(registration.agent, registration.session_id, "hello.")
        if not registration.session_id:
            raise InvalidField("hello.session_id", "is empty, and the token is for one session")
        if registration.lock_path:
            raise InvalidField("hello.lock_path", "is not for the worker of a session")
        digest = hashlib.sha256(f"{self.key.agent}\0{self.key.session_id}".encode()).hexdigest()[:16]
        return replace(registration, worker_id=f"{digest}.{registration.worker_id}")

    def apply_to(self, operation: Operation) -> Operation:
        """Return an operation of a worker; a task that it makes is the session's.

        Raises:
            InvalidField: the task is to be another session's.
        """
        if self.key is None:
            return operation
        match operation.action:
            case Start() as start:
                return replace(operation, action=self._placed(start, "start."))
            case Submit(start=start) as submit:
                return replace(operation, action=replace(submit, start=self._placed(start, "submit.start.")))
        return operation

    def _placed(self, start: Start, field: str) -> Start:
        _, session_id = self.place("", start.session_id, field)
        return replace(start, session_id=session_id)


#: The reach of a call that shows the token of its service, or where none is wanted.
EVERYTHING = Scope()
