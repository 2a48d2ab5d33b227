"""The App: what an agent's author decorates functions with, and runs."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from outlast.context import RequestContext
from outlast.ping import PingBoard, PingStatus
from outlast.tasks import manual
from outlast.tasks.async_task import AsyncTaskDecorator
from outlast.tasks.runtime import TaskRuntime
from outlast.telemetry import lines, records
from outlast.telemetry.log import get_logger

Handler = TypeVar("Handler", bound=Callable[..., Any])

#: Options of uvicorn's that say where it listens, other than by host and port.
_SAY_WHERE = ("fd", "uds")


class App:
    """An agent: an entrypoint, background tasks and a ping status.

    ``python agent.py`` with ``app.run()`` at its end is complete on its own. Without a running app (unit tests,
    scripts, notebooks) calling and starting tasks works too, and nothing is recorded.
    """

    def __init__(
        self,
        debug: bool = False,
        lifespan: Callable[[Any], Any] | None = None,
        middleware: Iterable[Any] | None = None,
    ) -> None:
        """``lifespan(app)`` is an async context manager around the agent's life; ``middleware`` is Starlette's."""
        self.debug = debug
        #: Writes JSON lines with the ids of the invocation; the runtime's own lines obey its level and its handlers.
        self.logger = records.attach(debug)
        self._program = _calling_program()
        self._asgi: Callable[..., Any] | None = None
        self._asgi_lock = threading.Lock()
        self.lifespan = lifespan
        #: The outermost first; each gives ``(class, args, kwargs)`` when it is iterated over, as Starlette's do.
        self.middleware = list(middleware or ())
        #: What tasks run on and are tracked by.
        self.runtime = TaskRuntime()
        #: What ``GET /ping`` says.
        self.status = PingBoard(self.runtime.ledger, self.runtime.agent_loop)
        #: The function that ``POST /invocations`` calls.
        self.entrypoint_handler: Callable[..., Any] | None = None
        #: The function that a connection to ``/ws`` is given to.
        self.websocket_handler: Callable[..., Any] | None = None
        #: ``@app.async_task`` tracks every call of a function as a task; def or async def, with or without parentheses.
        #: Calling the result is still calling the function; ``.start(...)`` puts it in the background and returns a
        #: handle at once. ``name=`` is the task type, by default the function's name. What is started may be tried
        #: again, in another process too: ``@app.async_task(max_attempts=3, timeout=60, backoff=5)``, in seconds.
        self.async_task = AsyncTaskDecorator(self.runtime)

    # -- decorators ------------------------------------------------------------------------------------

    def entrypoint(self, function: Handler) -> Handler:
        """Have ``function(payload)`` or ``function(payload, context)`` answer ``POST /invocations``.

        It may be a def, an async def or a generator of either kind; ``context`` (by that name) is a RequestContext.
        """
        self.entrypoint_handler = function
        return function

    def ping(self, function: Handler) -> Handler:
        """Have ``function()`` say what ``GET /ping`` answers: a PingStatus or its value; def or async def."""
        self.status.custom = function
        return function

    def websocket(self, function: Handler) -> Handler:
        """Have ``function(websocket, context)`` serve connections to ``/ws``; an async def.

        ``websocket`` has the interface of Starlette's: ``accept`` it first.
        """
        self.websocket_handler = function
        return function

    # -- tasks tracked by hand -------------------------------------------------------------------------

    def add_async_task(self, name: str, metadata: dict[str, Any] | None = None, timeout: float | None = None) -> int:
        """Track work that you run yourself; return the id that ``complete_async_task`` takes. From any thread.

        A task that is still open ``timeout`` seconds later is FAILED. One that somebody asks to cancel is CANCELED when
        it is still open after the grace: there is no code of it that could be told.

        Raises:
            InvalidField: the name or the metadata cannot be kept.
            TaskManagerUnavailable: too many tasks wait for a task manager that is out of reach.
        """
        return manual.add(self.runtime, name, metadata, timeout)

    def complete_async_task(self, task_id: int, result: Any = None, error: BaseException | str | None = None) -> bool:
        """End a task tracked by hand: COMPLETED with ``result``, or FAILED with ``error``. From any thread.

        False, and a warning in the log, when no such task lives in this process (any more: it was canceled, say).
        """
        known = manual.complete(self.runtime, task_id, result, error)
        if not known:
            lines.write("WARNING", f"Attempted to complete unknown task ID: {task_id}")
        return known

    def task(self, name: str, metadata: dict[str, Any] | None = None) -> manual.TaskBlock:
        """Track a block: ``with app.task("name"):`` or ``async with``; an exception in it makes the task FAILED."""
        return manual.TaskBlock(self.runtime, name, metadata)

    def get_async_task_info(self) -> dict[str, Any]:
        """Return ``{"active_count": n, "running_jobs": [{"name", "duration"}]}``, durations in seconds."""
        live, now = self.runtime.ledger.live(), time.monotonic()
        jobs = [{"name": task.task_type, "duration": now - task.started_monotonic} for task in live]
        return {"active_count": len(jobs), "running_jobs": jobs}

    # -- ping status -----------------------------------------------------------------------------------

    def get_current_ping_status(self) -> PingStatus:
        """Return what ``/ping`` says now: forced, else custom, else HealthyBusy exactly while a task lives here."""
        return self.status.get_current()

    def force_ping_status(self, status: PingStatus) -> None:
        """Have ``/ping`` say ``status`` until it is cleared."""
        self.status.force(status)

    def clear_forced_ping_status(self) -> None:
        """Undo ``force_ping_status``."""
        self.status.force(None)

    # -- what the front door asks ----------------------------------------------------------------------

    def make_context(self, session_id: str | None, request_headers: dict[str, str] | None, request: Any) -> Any:
        """Return what a handler gets as ``context``."""
        return RequestContext(session_id, request_headers, request)

    def wrap_asgi(self, endpoint: Callable[..., Any]) -> Callable[..., Any] | None:
        """Return ``endpoint``, an ASGI application, inside the program's middleware; None when there is none.

        Middleware is made by this call, so it belongs on the loop that the result is to be called on.
        """
        if not self.middleware:
            return None
        stack = endpoint
        for middleware_class, arguments, options in reversed(self.middleware):
            stack = middleware_class(stack, *arguments, **options)

        async def with_app(scope: Any, receive: Any, send: Any) -> None:
            scope["app"] = self
            await stack(scope, receive, send)

        return with_app

    # -- running ---------------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve as an ASGI application, for ``uvicorn agent:app`` and the like (https://asgi.readthedocs.io)."""
        with self._asgi_lock:
            if self._asgi is None:
                from pathlib import Path

                from outlastd.launch import AsgiAgent  # deferred: see run()

                self._asgi = AsgiAgent(self, None if self._program is None else Path(self._program))
        await self._asgi(scope, receive, send)

    def run(self, port: int | None = None, host: str | None = None, **options: Any) -> None:
        """Serve the agent until it is told to stop (SIGTERM, Ctrl-C).

        ``port`` is 8080 and ``host`` 127.0.0.1 (0.0.0.0 in a container) where neither these arguments nor the
        variables OUTLAST_PORT, PORT and OUTLAST_HOST say otherwise; the variables win. Further ``options`` are those
        of the original's server, which is another one: a WARNING names them, and they do nothing. Where that would
        leave the door open (TLS) or elsewhere (``uds``, ``fd``), the program ends instead.
        """
        if refused := sorted(name for name in options if name.startswith("ssl_") or name in _SAY_WHERE):
            sys.exit(f"outlast: run() cannot do what {', '.join(refused)} asks for: serve the app with uvicorn instead")
        if options:
            get_logger().warning("options of another server have no effect", options=sorted(options))
        from outlastd.launch import run_agent  # deferred: `import outlast` loads neither grpc nor aiohttp

        run_agent(self, port=port, host=host)


def _calling_program() -> str | None:
    """Return the file of the code that makes an App: the program, whoever imports it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("outlast."):
        frame = frame.f_back
    path = frame.f_globals.get("__file__")
    # As Path.absolute() has it: pathlib would be most of what else an App loads that has no use for it.
    return os.path.join("" if os.path.isabs(path) else os.getcwd(), path) if path else None
