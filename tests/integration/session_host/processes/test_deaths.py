"""What becomes of sessions when the host, the spawner or a warden is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from outlastd.session_host.ports import Exit

from ....acceptance.hosting.processes import below
from .stage import DAEMON, PATIENCE, Stage, is_alive, until

#: A host with a session that ends when it is told to, and one that never does; it says which processes there are.
_HOST = """
import asyncio, json, os, sys
from pathlib import Path
from outlastd.session_host.ports import LaunchOrder
from outlastd.session_host.processes.launcher import ForkingLauncher

async def main():
    folder = Path(sys.argv[1])
    launcher = ForkingLauncher()
    await launcher.start()
    scripts = [
        "trap 'echo told > told; exit' TERM; echo > fifo; while :; do sleep 0.01; done",
        "trap '' TERM; " + sys.argv[2] + " > fifo; sleep 1000",
    ]
    processes, daemons = [], []
    for number, script in enumerate(scripts):
        environment = {"PATH": os.environ["PATH"]}
        lock = folder / f"{number}.lock"
        order = LaunchOrder(str(number), ["/bin/sh", "-c", script], environment, folder, lock)
        processes.append(await launcher.launch(order))
        daemons += (await asyncio.to_thread((folder / "fifo").read_text)).split()
    command = await processes[0].execute(["sh", "-c", "trap '' TERM; echo x; sleep 1000"], 1000)
    await anext(command.output())
    agents = [process.pid for process in processes]
    print(json.dumps({"spawner": launcher._spawner.pid, "agents": agents, "daemon": int(daemons[0])}), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_when_the_spawner_is_killed_sessions_live_on(stage: Stage) -> None:
    """Another spawner is started for the next session, and those of before can still be stopped."""
    before = await stage.shell("exec sleep 1000")
    killed = stage.spawner
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        assert await (await stage.shell("exit 3", name="another")).wait() == Exit(code=3)

    assert stage.spawner != killed
    assert is_alive(before.pid)
    assert await before.stop(30) == Exit(signal=signal.SIGTERM)
    # Whoever has inherited the warden sees to its end in its own time.
    await until(lambda: not is_alive(killed))


async def test_when_a_warden_is_killed_its_session_ends(stage: Stage) -> None:
    """The agent dies with it, and the spawner ends daemons and commands; the host learns of the end."""
    process = await stage.shell(f"trap '' TERM; {sys.executable} -I -S -c '{DAEMON}' > $FIFO; sleep 1000")
    daemon = int(await stage.heard())
    execution = await process.execute(["sh", "-c", "trap '' TERM; echo x; sleep 1000"], 1000)
    output = execution.output()
    assert await anext(output) == ("stdout", b"x\n")
    os.kill(stage.warden(process), signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == Exit(signal=signal.SIGKILL)
        assert [piece async for piece in output] == []
        assert await execution.wait() == Exit(signal=signal.SIGKILL)

    await until(lambda: not is_alive(daemon))
    await stage.until_settled()
    assert await (await stage.shell("exit 3")).wait() == Exit(code=3)


@pytest.mark.parametrize("with_spawner", [False, True])
async def test_when_the_host_is_killed_nothing_is_left(folder: Path, with_spawner: bool) -> None:
    """Agents are told first, and have a moment; then all is killed, whether or not the spawner is there still."""
    os.mkfifo(folder / "fifo")
    daemon = f"{sys.executable} -I -S -c '{DAEMON}'"
    host = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _HOST, str(folder), daemon), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert host.stdout is not None
        said = json.loads(await host.stdout.readline())
        everything = {said["spawner"], said["daemon"], *said["agents"]}
        assert all(map(is_alive, everything))
        everything |= below(said["spawner"])
        if with_spawner:
            os.kill(said["spawner"], signal.SIGKILL)
    finally:
        host.kill()
        await host.wait()

    await until(lambda: not any(map(is_alive, everything)))
    assert (folder / "told").read_text() == "told\n"
    assert sorted(os.listdir(folder)) == ["fifo", "told"]  # no lock is left
