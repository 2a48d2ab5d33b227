"""Opens the store that a URL names."""

from __future__ import annotations

from pathlib import Path

from outlast.core.errors import StartRefused
from outlast.core.policy import Policy
from outlastd.stores.port import TaskStore
from outlastd.stores.sqlite import SQLiteTaskStore


async def open_store(url: str, path: Path | None, policy: Policy) -> TaskStore:
    """Open a store on the loop that will use it: the SQLite file at ``path``, or else the PostgreSQL at ``url``.

    Raises:
        StartRefused: it cannot be used; the message is one line that names cause and cure.
    """
    if path is not None:
        return await SQLiteTaskStore.open(path, policy)
    try:
        from outlastd.stores.postgres import PostgresTaskStore  # needs an extra: who has SQLite does without
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise StartRefused("the store is a PostgreSQL, which needs asyncpg: pip install 'outlast[postgres]'") from error
    return await PostgresTaskStore.open(url, policy)
