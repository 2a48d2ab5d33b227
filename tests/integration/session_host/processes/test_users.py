"""Sessions with users of their own."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys

import pytest

from outlastd.session_host.ports import Exit, LaunchFailed, ProcessLimits

from ....acceptance.hosting.processes import user
from .stage import PATIENCE, Stage, is_alive, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of other users")

_LOOK = """
import json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
said = {name: status[name].split() for name in ("Uid", "Gid", "Groups", "NoNewPrivs", "CapEff")}
for attempt in ("os.kill(os.getppid(), 0)", "os.setuid(0)", "open('/proc/%d/environ' % os.getppid())"):
    try:
        exec(attempt)
    except OSError as error:
        said[attempt[:9]] = type(error).__name__
with open(os.environ["FIFO"], "w") as file:
    json.dump(said, file)
"""
#: Twenty processes that fork all the time: faster than anybody can look.
_BOMB = """
import os
open(os.environ["FIFO"], "w").close()
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        while os.fork() == 0:
            pass
        os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        pass
"""


@pytest.fixture
def uid() -> int:
    """Return a user that no other test has meanwhile, beyond those that hosts give to sessions."""
    return random.randrange(1_000_000_000, 2_000_000_000)


async def test_a_session_is_its_user_and_nobody_else(stage: Stage, uid: int) -> None:
    """All ids are its own, no group of the host's is left, and there is no way back."""
    process = await stage.python(_LOOK, uid)
    said = json.loads(await stage.heard())
    await process.wait()

    assert said == {
        "Uid": [str(uid)] * 4,
        "Gid": [str(uid)] * 4,
        "Groups": [],
        "NoNewPrivs": ["1"],
        "CapEff": ["0000000000000000"],
        "os.kill(o": "PermissionError",
        "os.setuid": "PermissionError",
        "open('/pr": "PermissionError",
    }


async def test_a_command_is_the_same_user(stage: Stage, uid: int) -> None:
    """What runs beside the agent can do no more than the agent."""
    process = await stage.python("import time; time.sleep(1000)", uid)
    execution = await process.execute(["/bin/sh", "-c", "id -u; id -g; id -G"], 1000)
    output = b"".join([data async for _, data in execution.output()])

    assert output.split() == [str(uid).encode()] * 3


async def test_nothing_of_the_user_is_left(stage: Stage, uid: int) -> None:
    """Processes that fork faster than they can be found are killed by their user, all at once."""
    process = await stage.python(_BOMB, uid)
    await stage.heard()
    async with asyncio.timeout(PATIENCE):
        assert await process.stop(0.1) == Exit(signal=signal.SIGTERM)

    assert uid not in {user(int(pid)) for pid in os.listdir("/proc") if pid.isdecimal() and is_alive(int(pid))}
    await stage.until_settled()


async def test_a_user_has_no_more_processes_than_it_may(stage: Stage, uid: int) -> None:
    """The limit is the session's, however many others there are."""
    program = "import os\ntry:\n  [os.fork() for _ in range(9)]\nexcept BlockingIOError: os._exit(9)\nos.wait()"
    order = stage.order(sys.executable, "-I", "-S", "-c", program, uid=uid, limits=ProcessLimits(processes=5))
    process = await stage.launcher.launch(order)

    assert await process.wait() == Exit(code=9)


async def test_what_the_user_cannot_run_is_explained(stage: Stage, uid: int) -> None:
    """The message says whose rights are missing, and how to give them."""
    program = stage.folder / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    with pytest.raises(LaunchFailed, match=rf"program may not be executed by the user {uid}, .* users = \"off\""):
        await stage.launcher.launch(stage.order(str(program), uid=uid))
    await asyncio.to_thread(stage.folder.chmod, 0o700)
    with pytest.raises(LaunchFailed, match=r"its folder .* cannot be entered by the user .*Permission denied"):
        await stage.launcher.launch(stage.order("true", uid=uid))


async def test_when_a_warden_is_killed_its_users_processes_go(stage: Stage, uid: int) -> None:
    """The agent dies although it has another user than its warden."""
    process = await stage.python("import time; time.sleep(1000)", uid)
    os.kill(stage.warden(process), signal.SIGKILL)

    assert await process.wait() == Exit(signal=signal.SIGKILL)
    await until(lambda: not is_alive(process.pid))
