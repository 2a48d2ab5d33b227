"""The fault matrix: processes die, freeze and lose each other, and every promise holds.

A run that fails prints its seed; ``FAULTS_SEED=SEED`` has the next one plan the same faults and the same work.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ...postgres_server import PostgresServer, running_postgres
from .cluster import Cluster, embedded, replicated
from .faults import EMBEDDED, Fault, covering, whole
from .history import History
from .run import report, strike

#: How often the soak has every combination happen.
ROUNDS_REPLICATED = 4
ROUNDS_EMBEDDED = 3


@pytest.fixture
def seed() -> int:
    """Choose at random, or again what was chosen before."""
    return int(os.environ.get("FAULTS_SEED") or random.randrange(1 << 32))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """Write a history."""
    history = History(tmp_path / "history.jsonl")
    yield history
    history.close()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """Run a PostgreSQL that may be struck: nobody else's."""
    with running_postgres() as server:
        yield server


async def prove(cluster: Cluster, history: History, faults: Sequence[Fault], seed: int) -> None:
    """Have the faults happen, and prove that nothing was broken."""
    try:
        evidence = await strike(cluster, history, faults, seed)
    finally:
        await cluster.close()
    ends = Counter(f"{task.state.name} {task.state_reason}".strip() for task in evidence.tasks.values())
    print(
        f"seed {seed}: {len(faults)} faults, {len(evidence.tasks)} tasks, {len(evidence.history)} records, {dict(ends)}"
    )
    wrong = report(evidence, cluster)
    plan = "\n".join(str(fault) for fault in faults)
    assert not wrong, "\n".join([f"FAULTS_SEED={seed}", plan, f"history: {history.path}", *wrong])


@pytest.mark.timeout(300)
async def test_replicas_on_postgresql(tmp_path: Path, history: History, postgres: PostgresServer, seed: int) -> None:
    """16 faults, in which every two of kind, target and moment meet, break no promise of a cluster."""
    faults, _ = covering(seed)
    await prove(await replicated(tmp_path, history, postgres), history, faults, seed)


@pytest.mark.timeout(300)
async def test_agents_on_one_sqlite_file(tmp_path: Path, history: History, seed: int) -> None:
    """8 faults break no promise of two agents that embed their task managers."""
    _, faults = covering(seed)
    await prove(await embedded(tmp_path, history), history, faults, seed)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(ROUNDS_REPLICATED))
async def test_every_fault_of_replicas(
    tmp_path: Path, history: History, postgres: PostgresServer, seed: int, number: int
) -> None:
    """All 64 combinations, in another order each time."""
    await prove(await replicated(tmp_path, history, postgres), history, whole(seed + number), seed)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(ROUNDS_EMBEDDED))
async def test_every_fault_of_agents_on_one_file(tmp_path: Path, history: History, seed: int, number: int) -> None:
    """All 16 combinations of an agent with its own task manager, in another order each time."""
    await prove(await embedded(tmp_path, history), history, whole(seed + number, EMBEDDED), seed)
