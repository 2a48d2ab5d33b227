"""The migrations of the stores: numbered files for each database, applied in order, forward only.

The first line of a file may say ``-- compatible-from: N``: code that knows schema N and nothing newer goes on working
on a database that has the migration. Without the line only code that knows the migration itself does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

from outlast.core.errors import StartRefused
from outlast.core.value import value

_COMPATIBLE_FROM = re.compile(r"-- compatible-from: (\d+)\n")


@value(frozen=True, slots=True)
class Migration:
    """One step of a schema."""

    #: 1, 2, 3 and so on: the schema that it makes.
    number: int
    sql: str
    #: The oldest schema whose code still works on a database with this migration.
    compatible_from: int


@cache
def load_migrations(dialect: str) -> Sequence[Migration]:
    """Return the migrations of ``sqlite`` or ``postgresql``, in order; the first is number 1."""
    folder = resources.files("outlastd.stores") / "sql" / dialect
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [_migration(number, file.read_text(encoding="utf-8")) for number, file in enumerate(files, 1)]


def missing(migrations: Sequence[Migration], version: int, compatible_from: int, name: str) -> Sequence[Migration]:
    """Return the migrations that a database lacks; none when a newer outlast has made it one that this one can use.

    ``version`` is the database's schema, 0 for an empty one; ``compatible_from`` is what was recorded with it, and
    ``name`` what people call the database.

    Raises:
        StartRefused: a newer outlast has made it, and this one is too old for it.
    """
    if compatible_from > len(migrations):
        raise StartRefused(
            f"{name} was made by a newer outlast (schema {version}, this one knows {len(migrations)}): "
            "upgrade outlast, or choose another store"
        )
    return migrations[version:]


def _migration(number: int, sql: str) -> Migration:
    said = _COMPATIBLE_FROM.match(sql)
    return Migration(number, sql, int(said[1]) if said else number)
