"""Dead workers: told by their lock, and what becomes of their tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from outlast.core.event import Change
from outlast.core.state import TaskState
from outlast.core.worker import Registration
from outlastd.stores.port import TaskStore
from outlastd.task_manager.projection import project
from outlastd.task_manager.recovery import Recovery
from outlastd.task_manager.worker_lock import WorkerLock, is_held

from .speaking import DONE, START, Seen, operation

HOLDER = """
import sys, time
from pathlib import Path
from outlastd.task_manager.worker_lock import WorkerLock
lock = WorkerLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_lives_as_long_as_its_process(tmp_path: Path) -> None:
    """Held by a living process; let go by the kernel when it is killed; what nobody holds is removed."""
    path = tmp_path / "worker.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert is_held(path)
        process.kill()
        process.wait()
    assert not is_held(path)
    assert not path.exists()
    assert not is_held(path)


def test_a_lock_is_released(tmp_path: Path) -> None:
    """Released, it is nobody's, its file is gone, and it can be had again."""
    path = tmp_path / "worker.lock"
    lock = WorkerLock.acquire(path)
    assert is_held(path)
    lock.release()
    lock.release()
    assert not path.exists()
    WorkerLock.acquire(path).release()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A child that outlives its parent must not make the parent look alive."""
    path = tmp_path / "worker.lock"
    code = HOLDER.replace('print("held"', "import os; child = os.fork(); child and print(child").replace(
        "time.sleep(60)", "child or time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.wait()
    try:
        assert not is_held(path)
    finally:
        os.kill(child, signal.SIGKILL)


async def test_tasks_of_dead_workers_are_lost(store: TaskStore, seen: Seen, tmp_path: Path) -> None:
    """They end FAILED(WORKER_LOST), are shown, and name the worker; those of living workers go on."""
    living = await asyncio.to_thread(WorkerLock.acquire, tmp_path / "living.lock")
    await store.register_worker(Registration("living", "agent", lock_path=str(living.path)))
    await store.register_worker(Registration("dead", "agent", lock_path=str(tmp_path / "dead.lock")))
    await store.register_worker(Registration("elsewhere", "agent"))
    await store.apply("living", [operation(1, 1, START)])
    await store.apply("dead", [operation(1, 2, START), operation(2, 3, START), operation(3, 3, DONE)])
    await store.apply("elsewhere", [operation(1, 4, START)])

    def publish(changes: Iterable[Change]) -> None:
        for change in changes:
            project(change, seen)

    recovery = Recovery(store, publish)
    assert await recovery.look() == 1
    lost = await store.get(2)
    assert (lost.state, lost.state_reason) == (TaskState.FAILED, "WORKER_LOST")
    assert lost.error is not None
    assert "worker dead" in lost.error.message
    assert seen.lines == [("WORKER_LOST", 2)]
    assert {(await store.get(task_id)).state for task_id in (1, 4)} == {TaskState.WORKING}
    assert await recovery.look() == 0
    await asyncio.to_thread(living.release)
