"""Brings a SQLite database to the schema that this outlast knows: numbered files, in order, forward only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib import resources

from outlast.core.errors import StartRefused

#: "outl": marks a SQLite file as a store of outlast, in its header.
APPLICATION_ID = 0x6F75746C


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Apply the migrations that the database lacks, in one transaction that keeps other processes out.

    Raises:
        StartRefused: the database is another program's, or a newer outlast made it.
    """
    migrations = _migrations()
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION_ID and (tables or version):
            raise StartRefused(f"{name} is the database of another program: choose another file for the store")
        if version > len(migrations):
            raise StartRefused(
                f"{name} was made by a newer outlast (schema {version}, this one knows {len(migrations)}): "
                "upgrade outlast, or choose another file for the store"
            )
        for migration in migrations[version:]:
            for statement in _statements(migration):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _migrations() -> list[str]:
    """Return the SQL of every migration; the first is number 1."""
    folder = resources.files("outlastd.stores") / "sql" / "sqlite"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in files]


def _statements(script: str) -> Iterator[str]:
    """Split a script; ``executescript`` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
