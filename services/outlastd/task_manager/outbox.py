"""The span outbox at work: every sampled task's spans are exported, whatever became of whoever ran it (promise 8)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from outlast.core.event import Change
from outlast.telemetry import tracing
from outlast.telemetry.log import get_logger, summary_of
from outlast.telemetry.made_spans import spans_of
from outlast.telemetry.task_span import task_spans
from outlastd.stores.port import EndedTask, TaskStore
from outlastd.task_manager.spans_at_hand import SpansAtHand

#: Tasks that are exported at a time, once the exporter has shown that it works: mostly one message.
MAX_BATCH = 256
#: Seconds that one export may take before it counts as an outage; more than an exporter gives itself.
EXPORT_SECONDS = 10.0
#: Seconds for which nobody else exports what was claimed. A repeat is the same, byte for byte.
CLAIM_SECONDS = 15.0
#: Seconds between two looks for what other processes have left.
POLL_SECONDS = 5.0
#: Seconds in which tasks gather that end at about the same time.
GATHER_SECONDS = 0.1
#: Seconds to wait after a failure, at first and at the most.
MIN_BACKOFF, MAX_BACKOFF = 0.5, 10.0

_log = get_logger()


class SpanOutbox:
    """Exports the spans of the tasks on the store's outbox, and takes them off it once they are exported.

    Any number of task managers may do so with one database: a claim keeps a task to one of them. All is called on the
    services' loop; spans are made and exported on another thread.
    """

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._at_hand = SpansAtHand(store.policy, EXPORT_SECONDS, time.monotonic)
        #: Whether there is, as far as is known, something on the outbox that is not at hand.
        self._in_store = True
        #: When to look there in any case, by time.monotonic.
        self._next_look = 0.0
        self._bell = asyncio.Event()
        #: Whether what is at hand waits until it fills a message: up to the stop.
        self._gathering = True
        self._step: asyncio.Task[bool] | None = None
        #: What has not landed yet, be it late: nothing else is claimed before, so that memory and threads have a bound.
        self._under_way: _Export | None = None
        #: After a failure one task at a time finds out whether the exporter works, then twice as many, and so on.
        self._limit = MAX_BATCH
        #: The wait after the next failure; 0 while all is well.
        self._backoff = 0.0

    def note(self, ended: Sequence[Change]) -> None:
        """Take notice of tasks whose ends are committed."""
        if not self._at_hand.note(ended):
            self._in_store = True
        self._bell.set()

    def wake(self) -> None:
        """Say that there is something on the outbox."""
        self._in_store = True
        self._bell.set()

    async def run(self) -> None:
        """Export until cancelled; ``flush`` is to follow."""
        while True:
            self._bell.clear()
            if await asyncio.shield(self._turn()):
                continue  # there may be more
            if self._backoff:
                await asyncio.sleep(self._backoff)
                continue
            if not self._at_hand:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._bell.wait()
            await asyncio.sleep(GATHER_SECONDS)

    async def flush(self, seconds: float) -> None:
        """Export what there is; what is not in time is left for whoever looks next."""
        self._in_store, self._gathering = True, False
        try:
            async with asyncio.timeout(seconds):
                if self._step is not None:
                    await asyncio.wait([self._step])
                while await asyncio.shield(self._turn()):
                    pass
        except TimeoutError:
            self._failed("there was no time left")
        finally:
            if self._step is not None:
                self._step.cancel()
                await asyncio.wait([self._step])

    def _turn(self) -> asyncio.Task[bool]:
        """Return the export of a batch that is under way, or begin one: a claim is never left half-way."""
        if self._step is None or self._step.done():
            self._step = asyncio.create_task(self._export_some(), name="outlast span outbox step")
        return self._step

    async def _export_some(self) -> bool:
        """Export a batch; return whether there may be more."""
        try:
            export = self._under_way or await self._begin()
            if export is None:
                return False
            self._under_way = export
            if not await export.landed(EXPORT_SECONDS):
                self._failed("the exporter did not answer in time")
                return False
            self._under_way = None
            if not export.taken.result():
                self._failed("the exporter reported a failure")
                return False
            # The next ones are claimed in the transaction in which these go.
            more = export.full or len(self._at_hand) >= (self._limit if self._gathering else 1)
            following = asyncio.ensure_future(self._begin()) if more else None
            try:
                await self._store.drop_spans(export.task_ids)
            except asyncio.CancelledError:
                if following is not None:
                    following.cancel()  # there is no time left for it either
                raise
            finally:
                self._under_way = await following if following is not None else None
        except Exception as error:  # of the store, or of an exporter, which may be the program's own
            self._failed(summary_of(error))
            return False
        self._worked()
        return more

    async def _begin(self) -> _Export | None:
        """Begin to export what is at hand, and now and then what is not."""
        active = tracing.active()
        if active is None:
            return None
        limit = self._limit
        claimed = await self._claim(limit)
        batch = [*claimed, *self._at_hand.take(limit)]
        if not batch:
            return None
        spans = [(ended.task, partial(task_spans, ended.task, ended.events)) for ended in batch]
        taken = active.delivery.begin(lambda: spans_of(spans, active))
        return _Export([ended.task.task_id for ended in batch], taken, full=len(claimed) == limit)

    async def _claim(self, limit: int) -> Sequence[EndedTask]:
        """Claim what this process has not at hand, if it is time to look for it."""
        now = time.monotonic()
        if not self._in_store and now < self._next_look:
            return ()
        self._in_store = False
        try:
            claimed = await self._store.claim_spans(limit, CLAIM_SECONDS)
        except BaseException:
            self._in_store = True
            raise
        self._next_look = now + POLL_SECONDS
        self._in_store = self._in_store or len(claimed) == limit
        return claimed

    def _failed(self, reason: str) -> None:
        if not self._backoff:
            _log.warning("spans cannot be exported; they wait in the outbox", reason=reason)
        self._backoff = min(max(2 * self._backoff, MIN_BACKOFF), MAX_BACKOFF)
        self._limit = 1

    def _worked(self) -> None:
        if self._backoff:
            _log.info("spans are exported again")
        self._backoff = 0.0
        self._limit = min(2 * self._limit, MAX_BATCH)


class _Export:
    """Spans on their way out."""

    def __init__(self, task_ids: Sequence[int], taken: Future[bool], *, full: bool) -> None:
        self.task_ids = task_ids
        #: Whether as many were claimed as were asked for: there may be more on the outbox.
        self.full = full
        #: Whether the exporter took them all.
        self.taken = taken
        self._landed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell(_taken: Future[bool]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._landed.set)

        taken.add_done_callback(tell)

    async def landed(self, seconds: float) -> bool:
        """Wait for the exporter's answer; return whether it is there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._landed.wait()
        return self._landed.is_set()
