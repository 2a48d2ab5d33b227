"""Brings a PostgreSQL database to the schema that this outlast knows."""

from __future__ import annotations

import asyncio

from outlast.core.errors import StartRefused
from outlastd.stores.migrations import load_migrations, missing
from outlastd.stores.postgres_connection import Connection

#: Where our tables are: the database may be shared with other programs.
SCHEMA = "outlast"
#: "outlast" in ASCII: whoever migrates holds this advisory lock of the database.
_LOCK = 0x6F75746C617374

#: One row: the schema, which code still works on it (Migration.compatible_from), and which cluster it is in.
_MAKE_VERSION = f"""
    CREATE SCHEMA {SCHEMA};
    CREATE TABLE {SCHEMA}.schema_version (
        version         integer NOT NULL,
        compatible_from integer NOT NULL,
        cluster         bigint NOT NULL
    );
    INSERT INTO {SCHEMA}.schema_version VALUES (0, 0, 0);
"""
_GET_VERSION = f"SELECT version, compatible_from, cluster FROM {SCHEMA}.schema_version"
_SET_VERSION = f"UPDATE {SCHEMA}.schema_version SET version = $1, compatible_from = $2"
#: Which cluster it is in, where one may ask.
_MAY_ASK = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"
_GET_CLUSTER = "SELECT system_identifier FROM pg_control_system()"
_SET_CLUSTER = f"UPDATE {SCHEMA}.schema_version SET cluster = $1"
#: A copy in another cluster has events of transactions that are still to come there.
_SETTLE = f"""
    ALTER TABLE {SCHEMA}.events DISABLE TRIGGER events_never_change;
    UPDATE {SCHEMA}.events SET transaction = '3';
    ALTER TABLE {SCHEMA}.events ENABLE TRIGGER events_never_change;
"""


async def migrate(connection: Connection, name: str) -> None:
    """Apply the migrations that the database lacks, in one transaction that keeps other processes out.

    Raises:
        StartRefused: another program has a schema of our name, or a newer outlast made ours and this one is too old.
    """
    migrations = await asyncio.to_thread(load_migrations, "postgresql")  # they are files
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        if await connection.fetchval("SELECT to_regnamespace($1) IS NULL", SCHEMA):
            await connection.execute(_MAKE_VERSION)
        elif await connection.fetchval("SELECT to_regclass($1) IS NULL", f"{SCHEMA}.schema_version"):
            raise StartRefused(
                f"{name} has a schema {SCHEMA!r} that is another program's: "
                "name another database, or rename that schema"
            )
        version, compatible_from, was_in = await connection.fetchrow(_GET_VERSION)
        new = missing(migrations, version, compatible_from, name)
        for migration in new:
            await connection.execute(migration.sql)
        if new:
            oldest = max(migration.compatible_from for migration in migrations)
            await connection.execute(_SET_VERSION, len(migrations), oldest)
        is_in = await connection.fetchval(_GET_CLUSTER) if await connection.fetchval(_MAY_ASK) else was_in
        if is_in != was_in:
            if was_in:
                await connection.execute(_SETTLE)
            await connection.execute(_SET_CLUSTER, is_in)
