"""Brings a SQLite database to the schema that this outlast knows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from outlast.core.errors import StartRefused
from outlastd.stores.migrations import load_migrations, missing

#: "outl": marks a SQLite file as a store of outlast, in its header.
APPLICATION_ID = 0x6F75746C

#: Where a database keeps which code still works on it (Migration.compatible_from), from schema 2 on.
_GET_COMPATIBLE_FROM = "SELECT value FROM counters WHERE name = 'compatible_from'"
_SET_COMPATIBLE_FROM = "INSERT OR REPLACE INTO counters (name, value) VALUES ('compatible_from', ?)"


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Apply the migrations that the database lacks, in one transaction that keeps other processes out.

    Raises:
        StartRefused: the database is another program's, or a newer outlast made it and this one is too old for it.
    """
    # A table that is made anew is dropped first, and nothing that refers to it may go with it. (No transaction can
    # switch this; https://www.sqlite.org/lang_altertable.html#otheralter.)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION_ID and (tables or version):
            raise StartRefused(f"{name} is the database of another program: choose another file for the store")
        _apply(connection, version, name)
        # Always written: a database that can only be read is found here.
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA foreign_keys = ON")


def _apply(connection: sqlite3.Connection, version: int, name: str) -> None:
    migrations = load_migrations("sqlite")
    compatible_from = version
    if version:
        row = connection.execute(_GET_COMPATIBLE_FROM).fetchone()
        compatible_from = row[0] if row else version
    new = missing(migrations, version, compatible_from, name)
    for migration in new:
        for statement in _statements(migration.sql):
            connection.execute(statement)
    if new:
        connection.execute(_SET_COMPATIBLE_FROM, (max(migration.compatible_from for migration in migrations),))
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _statements(script: str) -> Iterator[str]:
    """Split a script; ``executescript`` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
