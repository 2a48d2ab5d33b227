"""PostgreSQL itself keeps what has ended, whoever writes to the database."""

from __future__ import annotations

import asyncpg
import pytest

from ..postgres_server import execute
from .conftest import Backend
from .making import DONE, operations, start_tasks


@pytest.mark.parametrize("change", ["state = 2", "result = 'x'", "epoch = 9"])
async def test_database_refuses_to_change_an_ended_task(postgres: Backend, postgres_url: str, change: str) -> None:
    """PostgreSQL itself refuses to change a terminal task, whoever asks."""
    store = await postgres.open()
    await start_tasks(store, "worker", [7])
    await store.apply("worker", operations(7, DONE, first=2))
    before = await store.get(7)

    with pytest.raises(asyncpg.RestrictViolationError, match="a terminal task never changes"):
        await execute(postgres_url, f"UPDATE outlast.tasks SET {change}")

    assert before == await store.get(7)


async def test_database_refuses_to_change_an_event(postgres: Backend, postgres_url: str) -> None:
    """PostgreSQL itself refuses to change an event."""
    store = await postgres.open()
    await start_tasks(store, "worker", [7])

    with pytest.raises(asyncpg.RestrictViolationError, match="an event never changes"):
        await execute(postgres_url, "UPDATE outlast.events SET attempt = 2")


async def test_database_lets_an_ended_task_go(postgres: Backend, postgres_url: str) -> None:
    """A terminal task may be deleted, and its events go with it."""
    store = await postgres.open()
    await start_tasks(store, "worker", [7, 8])
    await store.apply("worker", operations(7, DONE, first=3))

    await execute(postgres_url, "DELETE FROM outlast.tasks WHERE task_id = 7")

    assert await execute(postgres_url, "SELECT task_id FROM outlast.events") == [(8,)]
