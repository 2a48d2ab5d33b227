"""How a process of a session ends: with everything that it has started, wherever that has gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from outlastd.session_host.ports import Exit

from .stage import DAEMON, Stage, is_alive

#: Ever new processes, each of which forks the next one and ends: nobody who looks at one finds it a moment later.
_RUNAWAY = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(os.environ["FIFO"], "w").close()
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        while os.fork() == 0:
            pass
        os._exit(0)
signal.pause()
"""


async def test_a_process_may_end_in_its_own_way(stage: Stage) -> None:
    """It gets SIGTERM, with everybody in its group, and nothing else within its grace."""
    process = await stage.shell(
        "(trap 'echo child > $FIFO; exit' TERM; : > $FIFO; while :; do sleep 0.01; done) &"
        "trap 'wait; exit 9' TERM; wait"
    )
    await stage.heard()
    stopping = asyncio.create_task(process.stop(30))

    assert await stage.heard() == "child\n"
    assert await stopping == Exit(code=9)


async def test_whatever_does_not_end_is_killed(stage: Stage) -> None:
    """After the grace: the process, its children, and daemons that have left it and its group."""
    process = await stage.shell(
        f"trap '' TERM; (sleep 1000 >&2 & echo $!; {sys.executable} -I -S -c '{DAEMON}') > $FIFO; sleep 1000"
    )
    left = [int(line) for line in (await stage.heard()).split()]
    assert len(left) == 2
    assert all(map(is_alive, left))

    assert await process.stop(0.1) == Exit(signal=signal.SIGKILL)
    assert not any(map(is_alive, [process.pid, *left]))


async def test_what_a_process_leaves_ends_with_it(stage: Stage) -> None:
    """When it ends by itself, its end is told once nothing else is left; SIGTERM comes first there too."""
    process = await stage.shell(
        "(trap 'echo told > told; exit' TERM; : > ready; while :; do sleep 0.01; done) &"
        "while [ ! -e ready ]; do sleep 0.01; done;"
        f"{sys.executable} -I -S -c '{DAEMON}' > daemon; exit 3"
    )

    assert await process.wait() == Exit(code=3)
    assert (stage.folder / "told").read_text() == "told\n"
    assert not is_alive(int((stage.folder / "daemon").read_text()))


async def test_a_shorter_grace_wins(stage: Stage) -> None:
    """Whoever asks again may be in a hurry; a longer one does not take the end back."""
    process = await stage.shell("trap '' TERM; : > $FIFO; sleep 1000")
    await stage.heard()
    patient = asyncio.create_task(process.stop(1000))
    hurried = asyncio.create_task(process.stop(0))
    later = asyncio.create_task(process.stop(1000))

    assert set(await asyncio.gather(patient, hurried, later)) == {Exit(signal=signal.SIGKILL)}


async def test_processes_that_fork_all_the_time_are_caught(stage: Stage) -> None:
    """They are stopped before they are killed, so that no new one comes while the others die."""
    process = await stage.python(_RUNAWAY)
    await stage.heard()

    assert await process.stop(0.1) == Exit(signal=signal.SIGKILL)
    await stage.until_settled()


async def test_closing_kills_what_was_not_stopped(stage: Stage) -> None:
    """Without any grace, and all at once."""
    processes = await asyncio.gather(*(stage.shell("trap '' TERM; sleep 1000", name=str(n)) for n in range(10)))
    await stage.launcher.close()

    assert {await process.wait() for process in processes} == {Exit(signal=signal.SIGKILL)}
    assert not any(is_alive(process.pid) for process in processes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_wardens_are_not_ended_by_what_ends_a_host(stage: Stage, number: int) -> None:
    """A service manager signals every process of the host: the sessions are the host's to end."""
    process = await stage.shell("sleep 1000")
    os.kill(stage.warden(process), number)
    os.kill(stage.spawner, number)

    assert await (await stage.shell("exit 2", name="another")).wait() == Exit(code=2)
    assert await process.stop(30) == Exit(signal=signal.SIGTERM)
