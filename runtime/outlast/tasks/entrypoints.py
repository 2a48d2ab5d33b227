"""Runs the agent's handler, of whatever kind it is, off the services' loop, and hands its outcome back to that loop.

An ``async def`` runs on the agent's loop, a ``def`` on a thread of the call pool. What a handler returns or yields is
rendered where the handler ran, and so is what it raises: rendering calls user code too (``__str__``, ``model_dump``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Generic, Protocol, TypeVar

from outlast.tasks.call_pool import CallPool
from outlast.tasks.handler import Entrypoint, Kind
from outlast.tasks.item_stream import AsyncSource, ItemStream, Source, SyncSource
from outlast.tasks.loops import LoopThread, Mailbox

R = TypeVar("R")
E = TypeVar("E")
R_co = TypeVar("R_co", covariant=True)
E_co = TypeVar("E_co", covariant=True)


class Renderer(Protocol[R_co, E_co]):
    """Makes what the front door works with of what a handler returns, yields or raises. On the handler's thread."""

    def value(self, value: object) -> R_co:
        """Render a return value."""

    def item(self, item: object) -> bytes:
        """Render an item that a generator yielded."""

    def error(self, error: BaseException) -> E_co:
        """Render an exception. Never raises."""


class Watermarked(Protocol):
    """What is asked of the ledger."""

    @property
    def watermark(self) -> int:
        """The sequence of the newest operation."""


@dataclass(slots=True)
class Outcome(Generic[R, E]):
    """How a call of a handler ended. Exactly one of ``value``, ``stream`` and ``error`` is set."""

    #: Every operation up to here must be durable before the outcome is told (promise 1).
    watermark: int
    #: How long the handler took, in seconds.
    seconds: float
    value: R | None = None
    #: The rendered items, when the handler is or returned a generator.
    stream: ItemStream | None = None
    #: Of which kind the log calls that generator. The original bridges those of async handlers and calls them plain.
    asynchronous: bool = False
    error: E | None = None


class Entrypoints(Generic[R, E]):
    """Calls handlers. Belongs to the services' loop, where ``run`` is awaited."""

    def __init__(self, ledger: Watermarked, agent_loop: LoopThread, pool: CallPool, renderer: Renderer[R, E]) -> None:
        self.agent_loop = agent_loop
        self.pool = pool
        self.renderer = renderer
        self._ledger = ledger
        self._home: Mailbox | None = None
        #: Calls of this turn of the services' loop, on their way to the agent's.
        self._leaving: list[_Call[R, E]] = []
        #: The tasks on the agent's loop: asyncio itself keeps only weak references to them.
        self.running: set[asyncio.Task[None]] = set()

    async def run(
        self, entrypoint: Entrypoint, payload: object, make_context: Callable[[], object], context: Context
    ) -> Outcome[R, E]:
        """Call the handler in ``context`` and return its outcome.

        ``make_context`` returns what the handler gets as its own ``context``, if it takes one; called on its thread.
        Whoever stops waiting does not stop the handler.

        Raises:
            CallPoolFull: the handler blocks, and so many others do already that it was not called.
        """
        loop = asyncio.get_running_loop()
        if self._home is None:
            self._home = Mailbox(loop)
        call = _Call(self, entrypoint, payload, make_context, context, self._home, loop.create_future())
        if entrypoint.kind not in _ASYNC_KINDS:
            self.pool.post(call.run)
        else:
            # Those of one turn go together. One by one they would wake the agent's thread as many times: it takes the
            # GIL as soon as it has one call, and this loop stands still until that is done (a fifth of the rate).
            if not self._leaving:
                loop.call_soon(self._send_off)
            self._leaving.append(call)
        return await call.outcome

    def _send_off(self) -> None:
        calls, self._leaving = self._leaving, []
        try:
            self.agent_loop.post(_start_all, calls)
        except RuntimeError as error:  # the agent's loop is closed: the process ends
            for call in calls:
                if not call.outcome.done():
                    call.outcome.set_exception(error)

    def watermark(self) -> int:
        """Return the sequence of the newest operation; from any thread."""
        return self._ledger.watermark

    def stream(self, source: Source, home: Mailbox) -> ItemStream:
        """Return the reading side of a generator."""
        return ItemStream(source, home, self.watermark, self.renderer.item, self.renderer.error)


_ASYNC_KINDS = frozenset({Kind.ASYNC, Kind.ASYNC_GENERATOR})


class _Call(Generic[R, E]):
    """One call of a handler, on its way from the services' loop to the handler's thread and back."""

    __slots__ = (
        "_began",
        "_context",
        "_entrypoint",
        "_failure",
        "_home",
        "_make_context",
        "_owner",
        "_payload",
        "_seconds",
        "_settled",
        "_value",
        "outcome",
    )

    def __init__(
        self,
        owner: Entrypoints[R, E],
        entrypoint: Entrypoint,
        payload: object,
        make_context: Callable[[], object],
        context: Context,
        home: Mailbox,
        outcome: asyncio.Future[Outcome[R, E]],
    ) -> None:
        self._owner = owner
        self._entrypoint = entrypoint
        self._payload = payload
        self._make_context = make_context
        self._context = context
        self._home = home
        self._began = time.monotonic()
        self._seconds = 0.0
        self._value: object = None
        self._failure: BaseException | None = None
        self._settled: Outcome[R, E] | None = None
        self.outcome = outcome

    def start_async(self) -> None:
        """Begin on the agent's loop."""
        self._start(self._invoke(), self._context)

    def run(self) -> None:
        """Call a ``def`` on a thread of the pool."""
        self._context.run(self._run)

    def _run(self) -> None:
        try:
            value = self._call_handler()
        except BaseException as error:  # SystemExit too: a handler does not end the service
            self._tell(self._failed(error, time.monotonic() - self._began))
            return
        if _is_coroutine(value):  # a def or a lambda around an async function
            self._owner.agent_loop.post(self._start, self._invoke(value), copy_context())
        else:
            self._tell(self._outcome_of(value, time.monotonic() - self._began))

    def fail(self, error: Exception) -> None:
        """End a call that did not begin."""
        self._tell(self._failed(error, time.monotonic() - self._began))

    def _start(self, steps: Coroutine[Any, Any, None], context: Context) -> None:
        task = asyncio.get_running_loop().create_task(steps, context=context)
        self._owner.running.add(task)
        task.add_done_callback(self._ended, context=context)

    async def _invoke(self, steps: Coroutine[Any, Any, object] | None = None) -> None:
        try:
            value = self._call_handler() if steps is None else steps
            self._value = await value if _is_coroutine(value) else value
        except BaseException as error:  # a cancel and SystemExit too: they end this call, and nothing else
            self._failure = error
        self._seconds = time.monotonic() - self._began

    def _ended(self, task: asyncio.Task[None]) -> None:
        """On the agent's loop, one turn after the handler's end.

        So tasks that it has just created have taken their first step before the watermark is read.
        """
        self._owner.running.discard(task)
        failure, self._failure = self._failure, None  # which holds on to a frame that holds on to this call
        if task.cancelled():  # before its first step
            failure, self._seconds = asyncio.CancelledError(), time.monotonic() - self._began
        if failure is None:
            self._tell(self._outcome_of(self._value, self._seconds))
        else:
            self._tell(self._failed(failure, self._seconds))

    def _call_handler(self) -> Any:
        if self._entrypoint.takes_context:
            return self._entrypoint.handler(self._payload, self._make_context())
        return self._entrypoint.handler(self._payload)

    def _outcome_of(self, value: object, seconds: float) -> Outcome[R, E]:
        """Render what the handler returned; on its thread, in its context."""
        owner = self._owner
        try:
            if type(value) not in _PLAIN:
                # What goes on elsewhere gets a copy of the context: this thread may not have left it when that begins.
                if isinstance(value, AsyncGenerator):
                    stream = owner.stream(AsyncSource(value, owner.agent_loop, copy_context()), self._home)
                    asynchronous = self._entrypoint.kind not in _ASYNC_KINDS
                    return Outcome(owner.watermark(), seconds, stream=stream, asynchronous=asynchronous)
                if isinstance(value, Generator):
                    stream = owner.stream(SyncSource(value, owner.pool, self._home, copy_context()), self._home)
                    return Outcome(owner.watermark(), seconds, stream=stream)
            rendered = owner.renderer.value(value)
        except BaseException as error:  # whatever rendering met in the user's objects
            return self._failed(error, seconds)
        return Outcome(owner.watermark(), seconds, value=rendered)

    def _failed(self, error: BaseException, seconds: float) -> Outcome[R, E]:
        return Outcome(self._owner.watermark(), seconds, error=self._owner.renderer.error(error))

    def _tell(self, outcome: Outcome[R, E]) -> None:
        self._settled = outcome
        with contextlib.suppress(RuntimeError):  # the services' loop is closed: the process ends
            self._home.post(self._settle)

    # -- on the services' loop again -------------------------------------------------------------------

    def _settle(self) -> None:
        assert self._settled is not None
        if not self.outcome.done():
            self.outcome.set_result(self._settled)


#: What handlers return as a rule: to ask such a value whether it is a generator would only cost.
_PLAIN: frozenset[type] = frozenset({bool, bytes, dict, float, int, list, str, tuple, type(None)})


def _is_coroutine(value: object) -> bool:
    return type(value) is CoroutineType or isinstance(value, Coroutine)


def _start_all(calls: list[_Call[R, E]]) -> None:
    """Begin calls on the agent's loop; one that cannot begin fails alone."""
    for call in calls:
        try:
            call.start_async()
        except Exception as error:  # the loop's task factory is the program's to set
            call.fail(error)
