"""Many starts and ends: nothing of them stays."""

from __future__ import annotations

import asyncio
import os

from outlastd.session_host.ports import Exit

from ....acceptance.hosting.processes import descriptors
from .stage import Stage


async def test_200_lives_leave_nothing(stage: Stage) -> None:
    """No descriptor in the host or the spawner, no process, no zombie, no file."""

    async def live(number: int) -> None:
        process = await stage.launcher.launch(stage.order("true", name=str(number)))
        assert await process.wait() == Exit(code=0)

    await asyncio.gather(*map(live, range(8)))
    await stage.until_settled()
    before = descriptors(os.getpid()), descriptors(stage.spawner)
    for first in range(0, 200, 8):
        await asyncio.gather(*map(live, range(first, first + 8)))
    await stage.until_settled()

    assert (descriptors(os.getpid()), descriptors(stage.spawner)) == before
    assert sorted(path.name for path in stage.folder.iterdir()) == ["fifo"]


async def test_many_live_at_once(stage: Stage) -> None:
    """They start and stop together, and each is itself."""
    processes = await asyncio.gather(
        *(stage.shell(f"trap 'exit {n}' TERM; sleep 1000 & wait", str(n)) for n in range(50))
    )
    assert len({process.pid for process in processes}) == 50
    exits = await asyncio.gather(*(process.stop(30) for process in processes))

    # A shell that SIGTERM found before it had read its first line ends by it.
    assert all(exit in (Exit(code=number), Exit(signal=15)) for number, exit in enumerate(exits))
