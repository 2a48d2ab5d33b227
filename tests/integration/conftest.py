"""What every integration test has: a loop on which nothing of ours may block."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

import outlast.telemetry.output  # noqa: F401 (structlog: as outlastd.launch does, before any loop runs)

from ..postgres_server import let_asyncpg_connect


@pytest.fixture(autouse=True)
def _no_blocking_call_on_the_loop() -> Iterator[None]:
    with blockbuster_ctx(["outlast", "outlastd"]) as blocking:
        # Lines are written where they are made: one that waits in a queue is lost with the process.
        blocking.functions["os.write"].can_block_in("outlast/telemetry/output.py", "_write_all")
        # grpc.aio joins its poller's thread when its last object is collected, wherever that happens.
        blocking.functions["threading.Lock.acquire"].can_block_in("threading.py", {"_wait_for_tstate_lock", "join"})
        let_asyncpg_connect(blocking)
        yield
