"""What is measured of a store while metrics are on: its transactions, and how long work waits for a connection.

Of SQLite a thread with its connection is a pool of one. Names are those of OpenTelemetry where it has one:
https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from outlast.core.errors import OutlastError, StoreRefused, StoreUnavailable
from outlast.telemetry.metrics import metering
from outlast.telemetry.metrics.buckets import CALL_SECONDS
from outlast.telemetry.metrics.cardinality import ERROR_TYPE
from outlast.telemetry.metrics.observed import end_all

if TYPE_CHECKING:
    from opentelemetry.metrics import Observation

_SYSTEM, _ACCESS = "db.system.name", "access"
_POOL, _STATE = "db.client.connection.pool.name", "db.client.connection.state"

#: How many connections of a pool are in use, how many are idle, and how many pieces of work wait for one.
Occupancy: TypeAlias = tuple[int, int, int]


class Access(StrEnum):
    """What a transaction is for."""

    READ = "read"
    WRITE = "write"


class StoreMetrics:
    """Measures one store; from any thread."""

    def __init__(self, active: metering.Metering, system: str) -> None:
        """``system`` is the database's name as OpenTelemetry has it."""
        self._system = system
        self._observed = active.observed
        self._transactions = active.meter.create_histogram(
            "outlast.store.transaction.duration",
            unit="s",
            description="Duration of transactions of the store, without the wait for a connection",
            explicit_bucket_boundaries_advisory=CALL_SECONDS,
        )
        self._waits = active.meter.create_histogram(
            "db.client.connection.wait_time",
            unit="s",
            description="The time it took to obtain a connection to the store",
            explicit_bucket_boundaries_advisory=CALL_SECONDS,
        )

    def ended(self, access: Access, seconds: float, error: BaseException | None = None) -> None:
        """Count a transaction that took so long, and what it failed with."""
        attributes = {_SYSTEM: self._system, _ACCESS: access.value}
        if error is not None and (failure := _failure(error)):
            attributes[ERROR_TYPE] = failure
        self._transactions.record(seconds, attributes)

    def waited(self, pool: str, seconds: float) -> None:
        """Count a piece of work that has got its connection."""
        self._waits.record(seconds, {_POOL: pool})

    def pool(self, name: str, limit: int, occupancy: Callable[[], Occupancy]) -> Callable[[], None]:
        """Show a pool of ``limit`` connections; ``occupancy`` is called on any thread. What is returned ends it."""
        from opentelemetry.metrics import Observation

        def count() -> Iterator[Observation]:
            used, idle, _ = occupancy()
            yield Observation(used, {_POOL: name, _STATE: "used"})
            yield Observation(idle, {_POOL: name, _STATE: "idle"})

        ends = [
            self._observed.sum(
                "db.client.connection.count",
                count,
                unit="{connection}",
                description="Connections to the store, by what they are at",
            ),
            self._observed.sum(
                "db.client.connection.max",
                lambda: [Observation(limit, {_POOL: name})],
                unit="{connection}",
                description="The most connections to the store that there may be",
            ),
            self._observed.sum(
                "db.client.connection.pending_requests",
                lambda: [Observation(occupancy()[2], {_POOL: name})],
                unit="{request}",
                description="What waits for a connection to the store",
            ),
        ]

        return partial(end_all, ends)


def store_metrics(system: str) -> StoreMetrics | None:
    """Return what measures a store that is opened now; None while metrics are off."""
    active = metering.active()
    return None if active is None else StoreMetrics(active, system)


def transaction(metrics: StoreMetrics | None, access: Access) -> AbstractContextManager[object]:
    """Return a scope that is one transaction."""
    return _OFF if metrics is None else _transaction(metrics, access)


@contextmanager
def _transaction(metrics: StoreMetrics, access: Access) -> Iterator[None]:
    began = time.perf_counter()
    failure: BaseException | None = None
    try:
        yield
    except BaseException as error:
        failure = error
        raise
    finally:
        metrics.ended(access, time.perf_counter() - began, failure)


def _failure(error: BaseException) -> str:
    """Return what to call a failure of the database; empty for an answer of ours."""
    if isinstance(error, OutlastError) and not isinstance(error, StoreUnavailable | StoreRefused):
        return ""
    name: str = getattr(error, "sqlite_errorname", "")
    return name or type(error).__name__


_OFF = nullcontext()
