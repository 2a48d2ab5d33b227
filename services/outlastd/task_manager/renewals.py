"""Renews leases: what arrives while one renewal is under way goes together in the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outlast.core.errors import OutlastError
from outlast.core.worker import Renewal
from outlastd.stores.port import TaskStore


class Renewals:
    """The signs of life of all workers that are connected here, in as few transactions as the store keeps up with."""

    def __init__(self, store: TaskStore, on_outage: Callable[[], None] = lambda: None) -> None:
        """``on_outage`` is called when the store could not renew: workers may have spoken and not been heard."""
        self._store = store
        self._on_outage = on_outage
        #: By worker: the newest renewal, and who waits for it.
        self._waiting: dict[str, tuple[Renewal, list[asyncio.Future[bool]]]] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def renew(self, renewal: Renewal) -> bool:
        """Renew a lease; return whether the epoch is still the worker's. Raises what the store raises."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        older, answers = self._waiting.get(renewal.worker_id, (renewal, []))
        if older.epoch != renewal.epoch:  # of a stream that another has replaced
            _answer(answers, False)
            answers = []
        self._waiting[renewal.worker_id] = renewal, [*answers, answer]
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew_all(), name="outlast renewals")
        return await answer

    async def _renew_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, {}
                await self._renew(batch)
        finally:
            self._renewing = None

    async def _renew(self, batch: dict[str, tuple[Renewal, list[asyncio.Future[bool]]]]) -> None:
        try:
            kept = await self._store.renew([renewal for renewal, _ in batch.values()])
        except Exception as error:
            if isinstance(error, OutlastError):
                self._on_outage()
            for _, answers in batch.values():
                _answer(answers, error)
        else:
            for worker_id, (_, answers) in batch.items():
                _answer(answers, worker_id in kept)


def _answer(answers: list[asyncio.Future[bool]], answer: bool | Exception) -> None:
    for future in answers:
        if future.done():  # its stream has ended meanwhile
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
