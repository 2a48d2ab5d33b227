"""A PostgreSQL of our own: on loopback, with its defaults, so with every commit on the disk before it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.bench import Bench
from tests.postgres_server import PostgresMissing, PostgresServer, running_postgres


@contextmanager
def postgres(bench: Bench) -> Iterator[PostgresServer]:
    """Run a server, its files on the disk that the others' are on, where its user can reach that.

    Raises:
        SystemExit: there is none on this machine.
    """
    # Root may not run one: its user has to get through this run's folder.
    bench.folder.chmod(0o755)
    try:
        # /var/tmp is on a disk where /tmp may be memory.
        with running_postgres(bench.folder, Path("/var/tmp")) as server:
            bench.versions["PostgreSQL"] = str(server.execute("SHOW server_version")[0][0]).split()[0]
            yield server
    except PostgresMissing as error:
        raise SystemExit(str(error)) from None
