"""A machine that sleeps, and wakes up long after every lease on it has run out (promise 4)."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from .conftest import Launcher

#: Seconds, and how long the machine sleeps.
LEASE, SLEEP = 1.0, 3.5


def test_nobody_is_lost_for_having_slept(launch: Launcher, tmp_path: Path) -> None:
    """Two agents that watch over each other through one store are stopped and go on: neither takes the other for dead.

    Their tasks have one attempt: whoever lost one would have it FAILED.
    """
    settings = {"OUTLAST_LEASE_TTL": f"{LEASE}s", "GATE_FILE": str(tmp_path / "gate")}
    agents = [launch.ready("gate.py", **settings) for _ in range(2)]
    tasks = [agent.invoke({"start": "coroutine"}).task_ids[0] for agent in agents]
    time.sleep(2 * LEASE + 1)  # each has listened for long enough to take leases

    for agent in agents:
        agent.signal(signal.SIGSTOP)
    time.sleep(SLEEP)
    for agent in agents:
        agent.signal(signal.SIGCONT)
    time.sleep(2 * LEASE + 2)  # longer than it takes to notice somebody dead
    (tmp_path / "gate").touch()

    for agent, task_id in zip(agents, tasks, strict=True):
        record = agent.finished(task_id)
        assert (record["state"], record["attempt"]) == ("COMPLETED", 1), record
    assert not [line for agent in agents for line in agent.lines if "lost" in str(line["message"])]
