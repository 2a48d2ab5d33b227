"""How a process of a session begins: what it has, what it has not, and what is said when it cannot be started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from outlastd.file_lock import try_lock, unlock
from outlastd.session_host.ports import Exit, LaunchFailed, ProcessLimits

from ....acceptance.hosting.processes import below
from .stage import PATIENCE, Stage, is_alive, running_stage, until

_LOOK = """
import json, os, signal
fds = {}
for name in os.listdir("/proc/self/fd"):
    try:
        fds[name] = os.readlink("/proc/self/fd/" + name)
    except OSError:  # the listing's own
        pass
ignored = [n for n in range(1, 32) if signal.getsignal(n) == signal.SIG_IGN]
said = {
    "environment": dict(os.environ), "folder": os.getcwd(), "fds": fds, "session": os.getsid(0), "group": os.getpgid(0),
    "pid": os.getpid(), "ignored": ignored, "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "umask": os.umask(0), "user": os.getuid(),
}
with open(os.environ["FIFO"], "w") as file:
    json.dump(said, file)
"""


async def test_a_process_has_what_it_was_given_and_nothing_else(stage: Stage) -> None:
    """Its environment, its folder, a session and group of its own, no input, no descriptor, no signal of the host's."""
    # What the host holds open, inheritable or not, is none of a session's business.
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    order = stage.order(sys.executable, "-I", "-S", "-c", _LOOK, environment={"A": "1", "BAD": "\udcff"})
    process = await stage.launcher.launch(order)
    said = json.loads(await stage.heard())
    os.close(read_end)
    os.close(write_end)

    # Python itself may set LC_CTYPE where nothing says otherwise.
    assert {name: said["environment"][name] for name in order.environment} == order.environment
    assert said["environment"].keys() - order.environment.keys() <= {"LC_CTYPE"}
    assert said["folder"] == str(stage.folder)
    assert said["pid"] == said["session"] == said["group"] == process.pid
    assert sorted(said["fds"]) == ["0", "1", "2"]
    assert said["fds"]["0"] == "/dev/null"
    # Python ignores these itself.
    assert set(said["ignored"]) <= {signal.SIGPIPE, signal.SIGXFSZ}
    assert said["blocked"] == []
    assert said["umask"] == 0o022
    assert said["user"] == os.getuid()
    assert await process.wait() == Exit(code=0)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_life_on_either_loop(folder: Path, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A start with a large order, a command with much output, and a stop work on asyncio's loop and on uvloop's."""

    async def live() -> None:
        async with running_stage(folder) as stage:
            large = {f"V{number}": "x" * 100_000 for number in range(8)}
            process = await stage.launcher.launch(stage.order("sleep", "1000", environment=large))
            execution = await process.execute(["sh", "-c", "head -c 1000000 /dev/zero; echo $V7 | wc -c >&2"], 60)
            written = {"stdout": b"", "stderr": b""}
            async for name, data in execution.output():
                written[name] += data

            assert (len(written["stdout"]), int(written["stderr"])) == (1_000_000, 100_001)
            assert await execution.wait() == Exit(code=0)
            assert await process.stop(10) == Exit(signal=signal.SIGTERM)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(live())


@pytest.mark.parametrize(
    ("script", "exit"),
    [
        ("exit 0", Exit(code=0)),
        ("exit 7", Exit(code=7)),
        ("exit 255", Exit(code=255)),
        ("kill -KILL $$", Exit(signal=signal.SIGKILL)),
        ("kill -SEGV $$", Exit(signal=signal.SIGSEGV)),
    ],
)
async def test_its_end_is_told_exactly(stage: Stage, script: str, exit: Exit) -> None:
    """Everybody who waits learns the exit code, or the signal."""
    process = await stage.shell(f"ulimit -c 0; {script}")

    assert set(await asyncio.gather(process.wait(), process.wait())) == {exit}
    assert await process.wait() == exit
    assert await process.stop(10) == exit


async def test_what_cannot_be_started_is_explained(stage: Stage) -> None:
    """The message names the session, the cause, and what to do about it; nothing of the attempt is left."""
    plain = stage.folder / "plain"
    plain.write_text("no program")
    nonsense = stage.folder / "nonsense"
    nonsense.write_bytes(b"\x7fELF" + bytes(100))
    nonsense.chmod(0o755)
    lost = stage.folder / "lost"
    lost.write_text("#!/nowhere/interpreter\n")
    lost.chmod(0o755)
    for argv, why in [
        (["no-such-program"], "session: there is no program no-such-program on the session's PATH .*whole path"),
        (["/nowhere/program"], "there is no program /nowhere/program, or not the interpreter"),
        ([str(lost)], "there is no program .*/lost, or not the interpreter"),
        ([str(plain)], ".*/plain may not be executed: make it so"),
        ([str(nonsense)], "nonsense is no program of this machine"),
        (["sh", "-c", "x" * 200_000], "larger than the system takes"),
        (["sh", "-c", "x" * 2_000_000], "too large"),
        (["sh", "\0"], "Invalid argument"),
    ]:
        with pytest.raises(LaunchFailed, match=why):
            await stage.launcher.launch(stage.order(*argv))
    with pytest.raises(LaunchFailed, match=r"its folder .*/missing cannot be entered \(No such file"):
        await stage.launcher.launch(replace(stage.order("true"), directory=stage.folder / "missing"))

    await stage.until_settled()
    assert not (stage.folder / "session.lock").exists()
    assert await (await stage.shell("exit 3")).wait() == Exit(code=3)


async def test_limits_hold(stage: Stage) -> None:
    """A process gets no more memory and no more files than it was allowed."""
    program = """
import os
try:
    bytearray(500_000_000)
except MemoryError:
    said = "no memory"
else:
    said = "memory"
try:
    for _ in range(100):
        os.dup(0)
except OSError as error:
    said += ", " + error.strerror
os.dup2(0, 5)
os.closerange(6, 100)
open("said", "w").write(said)
"""
    limits = ProcessLimits(memory=300_000_000, open_files=32)
    order = stage.order(sys.executable, "-I", "-S", "-c", program, limits=limits)
    await (await stage.launcher.launch(order)).wait()

    assert (stage.folder / "said").read_text() == "no memory, Too many open files"


async def test_runs_of_a_session_never_overlap(stage: Stage) -> None:
    """The next one waits until nothing is left of the one before."""
    first = await stage.shell("trap '' TERM; sleep 1000 & echo $! > $FIFO; wait")
    left = int(await stage.heard())
    second = asyncio.create_task(stage.shell("exit 5"))
    await (await stage.shell("true", name="another")).wait()

    assert not second.done()
    await first.stop(0.05)
    assert not is_alive(left)
    async with asyncio.timeout(PATIENCE):
        assert await (await second).wait() == Exit(code=5)


async def test_a_start_that_is_given_up_leaves_nothing(stage: Stage) -> None:
    """Neither while it waits for an earlier run, nor once it could go on."""
    path = str(stage.folder / "session.lock")
    held = await asyncio.to_thread(try_lock, path)
    assert held is not None
    launching = asyncio.create_task(stage.shell("echo started > $FIFO"))
    await until(lambda: below(stage.spawner))
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    await stage.until_settled()
    await asyncio.to_thread(unlock, path, held)

    assert await (await stage.shell("exit 4")).wait() == Exit(code=4)
