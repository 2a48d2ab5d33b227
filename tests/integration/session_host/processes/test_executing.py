"""Commands that run beside the agent of a session."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest

from outlastd.session_host.ports import Exit, LaunchFailed, Output
from outlastd.session_host.processes.execution import HostedExecution
from outlastd.session_host.processes.process import HostedProcess

from ....acceptance.hosting.processes import below, descriptors
from .stage import DAEMON, PATIENCE, Stage, is_alive, until

_LOOK = """
import json, os
print(json.dumps({
    "environment": dict(os.environ), "folder": os.getcwd(), "session": os.getsid(0), "pid": os.getpid(),
    "fds": [name for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)],
    "input": os.readlink("/proc/self/fd/0"),
}))
"""


async def finish(execution: HostedExecution) -> tuple[list[Output], Exit | None]:
    """Return all that a command writes, and how it ends."""
    async with asyncio.timeout(PATIENCE):
        return [piece async for piece in execution.output()], await execution.wait()


async def run(process: HostedProcess, script: str, timeout: float = 1000) -> tuple[list[Output], Exit | None]:
    """Run a script of the shell beside an agent."""
    return await finish(await process.execute(["/bin/sh", "-c", script], timeout))


async def test_a_command_has_what_the_agent_has(stage: Stage) -> None:
    """The same environment and folder, in a session of its own, without any input or descriptor but its outputs."""
    order = stage.order("sleep", "1000", environment={"A": "1"})
    process = await stage.launcher.launch(order)
    [(name, data)], exit = await finish(await process.execute([sys.executable, "-I", "-S", "-c", _LOOK], 1000))
    said = json.loads(data)

    assert (name, exit) == ("stdout", Exit(code=0))
    assert {name: said["environment"][name] for name in order.environment} == order.environment
    assert said["folder"] == str(stage.folder)
    assert said["pid"] == said["session"] != process.pid
    assert (sorted(said["fds"]), said["input"]) == (["0", "1", "2"], "/dev/null")


async def test_its_outputs_and_its_end_are_told(stage: Stage) -> None:
    """Each output under its name, as it is written, then the exit code or the signal."""
    process = await stage.shell("exec sleep 1000")

    assert await run(process, "echo out; exec 1>&-; echo err >&2; exit 3") == (
        [("stdout", b"out\n"), ("stderr", b"err\n")],
        Exit(code=3),
    )
    assert await run(process, "kill -KILL $$") == ([], Exit(signal=signal.SIGKILL))
    assert await run(process, "exec >&- 2>&-; sleep 0.1; exit 4") == ([], Exit(code=4))
    assert is_alive(process.pid)


async def test_output_comes_while_the_command_runs(stage: Stage) -> None:
    """Nothing is held back until its end."""
    process = await stage.shell("exec sleep 1000")
    execution = await process.execute(["/bin/sh", "-c", "echo first; read line < $FIFO; echo $line"], 1000)
    output = execution.output()

    assert await anext(output) == ("stdout", b"first\n")
    await asyncio.to_thread(stage.fifo.write_text, "second\n")
    assert [piece async for piece in output] == [("stdout", b"second\n")]


async def test_a_command_waits_for_its_reader(stage: Stage) -> None:
    """What nobody reads is not written: the host keeps no more than one piece of it."""
    process = await stage.shell("exec sleep 1000")
    execution = await process.execute(["dd", "if=/dev/zero", "bs=64k", "count=32", "status=noxfer"], 1000)
    output = execution.output()
    read = len((await anext(output))[1])
    # dd counts its blocks on stderr when it ends: it has not, since a pipe holds far less than the 2 MiB.
    await (await stage.shell("true", name="another")).wait()

    assert below(stage.warden(process)) - {process.pid}
    sizes = {"stdout": read, "stderr": 0}
    async for name, data in output:
        sizes[name] += len(data)
    assert (sizes["stdout"], await execution.wait()) == (32 * 65_536, Exit(code=0))


async def test_a_command_whose_time_is_up_ends_with_all_that_it_started(stage: Stage) -> None:
    """Children and daemons of it are killed; the agent and what it has started are not."""
    process = await stage.shell("sleep 1000 & : > $FIFO; wait")
    await stage.heard()
    kept = below(stage.warden(process))
    output, exit = await run(process, f"trap '' TERM; {sys.executable} -I -S -c '{DAEMON}'; sleep 1000", timeout=0.5)

    assert exit is None
    assert not is_alive(int(output[0][1]))
    await until(lambda: below(stage.warden(process)) == kept)


async def test_a_command_can_be_killed(stage: Stage) -> None:
    """Whether somebody reads its output or nobody does; a second time does nothing."""
    process = await stage.shell("exec sleep 1000")
    for read in (True, False):
        execution = await process.execute(["/bin/sh", "-c", "trap '' TERM; echo x; sleep 1000"], 1000)
        output = execution.output()
        if read:
            assert await anext(output) == ("stdout", b"x\n")
        await execution.kill()
        await execution.kill()

        assert [piece async for piece in output] == []
        assert await execution.wait() == Exit(signal=signal.SIGKILL)
        await until(lambda: below(stage.warden(process)) == {process.pid})


async def test_what_a_command_leaves_running_is_the_sessions(stage: Stage) -> None:
    """A server that a command starts outlives the command, and ends with the session."""
    process = await stage.shell("exec sleep 1000")
    output, exit = await run(process, "sleep 1000 > /dev/null 2>&1 & echo $!", timeout=0.5)
    left = int(output[0][1])
    await until(lambda: below(stage.warden(process)) == {process.pid, left})

    assert exit == Exit(code=0)
    await process.stop(30)
    assert not is_alive(left)


async def test_a_command_ends_with_its_session(stage: Stage) -> None:
    """It is told when the agent is, and killed at the end of the same grace; whoever reads its output is released."""
    process = await stage.shell("trap '' TERM; while :; do sleep 0.01; done")
    told = asyncio.create_task(
        run(process, "trap 'echo told; exit 6' TERM; echo x > $FIFO; while :; do sleep 0.01; done")
    )
    await stage.heard()
    deaf = asyncio.create_task(run(process, "trap '' TERM; echo x > $FIFO; while :; do sleep 0.01; done"))
    await stage.heard()

    assert await process.stop(1.0) == Exit(signal=signal.SIGKILL)
    output, exit = await told
    assert (("stdout", b"told\n") in output, exit) == (True, Exit(code=6))
    assert (await deaf)[1] == Exit(signal=signal.SIGKILL)


async def test_what_cannot_be_executed_is_explained(stage: Stage) -> None:
    """A program that is not there, a command that is too large, a session that has ended."""
    process = await stage.shell("exec sleep 1000")
    with pytest.raises(LaunchFailed, match="no program no-such-program on the session's PATH"):
        await process.execute(["no-such-program"], 10)
    with pytest.raises(LaunchFailed, match="too large"):
        await process.execute(["sh", "-c", "x" * 2_000_000], 10)
    await process.stop(30)
    with pytest.raises(LaunchFailed, match="session: the session has ended"):
        await process.execute(["true"], 10)


async def test_commands_leave_no_descriptor_open(stage: Stage) -> None:
    """Neither in the host nor in the warden, however they end."""
    process = await stage.shell("exec sleep 1000")
    warden = stage.warden(process)

    async def some() -> None:
        await run(process, "echo x")
        await run(process, "sleep 1000", timeout=0.01)
        execution = await process.execute(["sleep", "1000"], 1000)
        await execution.kill()
        with pytest.raises(LaunchFailed):
            await process.execute(["no-such-program"], 10)
        await until(lambda: below(warden) == {process.pid})

    await some()
    before = descriptors(os.getpid()), descriptors(warden)
    for _ in range(10):
        await some()

    assert (descriptors(os.getpid()), descriptors(warden)) == before
