"""What the processes of sessions get, and what stays of it: with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from aiohttp import ClientError

from outlast.core.errors import StartRefused
from outlast.core.session import SessionKey
from outlast.limits import MAX_SOCKET_PATH
from outlastd.file_lock import try_lock, unlock
from outlastd.session_host.config import AgentConfig, HostConfig
from outlastd.session_host.guest_client import Endpoint, GuestClient, PingFailed
from outlastd.session_host.plan import Plan
from outlastd.session_host.planner import Planner
from outlastd.session_host.ports import GuestProcess, LaunchFailed
from outlastd.session_host.processes.launcher import ForkingLauncher

PATIENCE = 60.0
PLAIN = Path(__file__).parents[2] / "acceptance" / "hosting" / "guests" / "plain.py"
COMMAND = (sys.executable, "-I", "-S", str(PLAIN))
AGENTS = {
    "port": AgentConfig(command=COMMAND, environment={"MARK": "1"}),
    "socket": AgentConfig(command=(*COMMAND, "{socket}")),
}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give sessions users of their own")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make the folder of a host, which any user may enter. Only its owner may enter those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="outlast-plans-"))
    folder.chmod(0o711)
    yield folder
    rmtree(folder)


@pytest.fixture
async def launcher() -> AsyncIterator[ForkingLauncher]:
    """Run a launcher."""
    launcher = ForkingLauncher()
    await launcher.start()
    yield launcher
    await launcher.close()


@asynccontextmanager
async def open_planner(folder: Path, users: str = "off", **config: Any) -> AsyncIterator[Planner]:
    """Make a planner as a host does."""
    told = HostConfig(agents=AGENTS, users=users, **config)
    planner = Planner(told, folder, "unix:/tasks.sock", lambda key: f"the token of {key.session_id}")
    await planner.open()
    try:
        yield planner
    finally:
        await planner.close()


class Guest:
    """A session that runs and answers."""

    def __init__(self, plan: Plan, process: GuestProcess, client: GuestClient) -> None:
        self.plan = plan
        self.process = process
        self.client = client

    async def ask(self, payload: Any) -> Any:
        """Invoke it."""
        body = json.dumps(payload).encode()
        async with self.client.request("POST", "/invocations", data=body, timeout=PATIENCE) as response:
            return await response.json()

    async def python(self, code: str) -> Any:
        """Run code in it, and return what it assigns to ``answer``."""
        said = await self.ask({"python": code})
        return said.get("python", said.get("error"))


@asynccontextmanager
async def guest(planner: Planner, launcher: ForkingLauncher, agent: str, session: str = "one") -> AsyncIterator[Guest]:
    """Run a session."""
    plan = await planner.plan(SessionKey(agent, session))
    process = await launcher.launch(plan.order)
    client = GuestClient(plan.endpoint)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await answers(client):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield Guest(plan, process, client)
    finally:
        await client.close()
        await process.stop(5)
        await planner.clear(plan)


async def answers(client: GuestClient) -> bool:
    """Tell whether a guest answers its ping."""
    try:
        await client.ping(PATIENCE)
    except PingFailed:
        return False
    return True


@pytest.mark.parametrize("agent", ["port", "socket"])
async def test_a_session_answers_who_has_its_secret(folder: Path, launcher: ForkingLauncher, agent: str) -> None:
    """At its port or its socket, and nobody else."""
    async with open_planner(folder) as planner, guest(planner, launcher, agent) as one:
        assert (await one.ask("hello"))["body"] == "hello"

        endpoint = one.plan.endpoint
        stranger = GuestClient(Endpoint(endpoint.socket, endpoint.port, "guess"))
        async with stranger.request("GET", "/ping") as response:
            assert response.status == 403
        await stranger.close()


async def test_its_environment_is_its_own(
    folder: Path, launcher: ForkingLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables of the plan and no others reach the process, whatever the host has."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the host's")
    async with open_planner(folder) as planner, guest(planner, launcher, "port", "a-session") as one:
        found = (await one.ask({"env": True}))["env"]
        found.pop("LC_CTYPE", None)  # Python's own, where no language is set

        assert found == one.plan.order.environment
        assert "the host's" not in found.values()
        assert (found["MARK"], found["OUTLAST_SESSION"]) == ("1", "a-session")
        assert found["OUTLAST_TOKEN"] == "the token of a-session"


async def test_its_folder_is_its_own_and_goes_with_it(folder: Path, launcher: ForkingLauncher) -> None:
    """It starts there, nobody else may look, and nothing of it is there in the next run."""
    async with open_planner(folder) as planner:
        for _ in range(2):
            async with guest(planner, launcher, "socket") as one:
                home = Path(one.plan.order.environment["HOME"])
                assert await one.python("answer = [os.getcwd(), os.listdir()]") == [str(home), []]
                assert stat.S_IMODE(os.stat(home).st_mode) == 0o700
                await one.python("os.makedirs('a/b'); os.chmod('a', 0); os.symlink('/etc', 'link')")
        async with guest(planner, launcher, "socket", "../../two"), guest(planner, launcher, "socket", "one"):
            assert len(os.listdir(folder / "sessions")) == 2

        assert [os.listdir(folder / name) for name in ("sessions", "doors", "locks")] == [[], [], []]
    assert "passwd" in os.listdir("/etc")


@as_root
async def test_no_session_reaches_another(folder: Path, launcher: ForkingLauncher) -> None:
    """Each has a user of its own: no files, no processes, no variables, no socket of one are there for the other."""
    async with (
        open_planner(folder, "auto") as planner,
        guest(planner, launcher, "socket", "one") as one,
        guest(planner, launcher, "socket", "two") as two,
    ):
        users = [await each.python("answer = [os.getuid(), os.getgid(), os.getgroups()]") for each in (one, two)]
        assert [users[0][:2], users[1][:2]] == [[each.plan.order.uid] * 2 for each in (one, two)]
        assert users[0] != users[1]
        assert [user[2] for user in users] == [[], []]
        assert await one.python("open('secret', 'w').write('mine'); answer = os.stat('secret').st_uid") == users[0][0]

        home, pid = one.plan.order.environment["HOME"], one.process.pid
        for attempt in (
            f"os.listdir({home!r})",
            f"open({home + '/secret'!r})",
            f"open('{home}/secret', 'w')",
            f"os.kill({pid}, 9)",
            f"open('/proc/{pid}/environ')",
            f"socket.socket(socket.AF_UNIX).connect({str(one.plan.endpoint.socket)!r})",
            f"os.listdir({str(folder)!r})",
            f"os.listdir({str(folder / 'sessions')!r})",
        ):
            assert "PermissionError" in await two.python(attempt), attempt
        assert await two.python("answer = os.environ['USER']") == "outlast"


@as_root
async def test_users_are_given_back(folder: Path, launcher: ForkingLauncher) -> None:
    """As many sessions as there are users, one more when one has ended, and a clear word beyond that."""
    async with open_planner(folder, "1999999990-1999999991") as planner:
        async with guest(planner, launcher, "port", "1"), guest(planner, launcher, "port", "2"):
            with pytest.raises(LaunchFailed, match=r"sessions/port/3: all users .* have sessions: name more"):
                await planner.plan(SessionKey("port", "3"))
        async with guest(planner, launcher, "port", "3") as third:
            assert third.plan.order.uid in (1999999990, 1999999991)


@as_root
async def test_a_host_whose_folder_is_out_of_reach_does_not_start(tmp_path: Path) -> None:
    """What users of their own could not enter is named before the first session needs it."""
    with pytest.raises(StartRefused, match=r"the folder of the host.* out of their reach: name another with `folder`"):
        async with open_planner(tmp_path, "auto"):
            pass


async def test_what_an_earlier_host_has_left_is_removed_when_its_processes_have_gone(folder: Path) -> None:
    """A host that was killed leaves folders, and wardens that still end its sessions."""
    async with open_planner(folder) as planner:
        plan = await planner.plan(SessionKey("socket", "one"))
    lock = await asyncio.to_thread(try_lock, str(plan.order.lock))
    assert lock is not None
    opening = asyncio.ensure_future(open_planner(folder).__aenter__())
    assert await asyncio.wait([opening], timeout=0.3) == (set(), {opening})
    assert len(os.listdir(folder / "sessions")) == 1
    await asyncio.to_thread(unlock, str(plan.order.lock), lock)
    later = await opening

    assert [os.listdir(folder / name) for name in ("sessions", "doors", "locks")] == [[], [], []]
    await later.close()


async def test_a_long_path_does_not_keep_sockets_from_working(folder: Path, launcher: ForkingLauncher) -> None:
    """They are in a temporary folder then, which goes when the host does."""
    deep = folder / ("x" * MAX_SOCKET_PATH)
    deep.mkdir()
    async with open_planner(deep) as planner:
        async with guest(planner, launcher, "socket") as one:
            assert (await one.ask(1))["body"] == 1
            socket = one.plan.endpoint.socket
            assert socket is not None
            assert len(os.fsencode(socket)) <= MAX_SOCKET_PATH
            assert os.listdir(socket.parent) == ["s"]
        root = socket.parent.parent.parent
    assert root.name not in os.listdir(root.parent)


async def test_a_second_run_of_a_session_begins_after_the_first(folder: Path, launcher: ForkingLauncher) -> None:
    """Planned twice, by a mistake or a crash, it still never runs twice: the second waits for the first."""
    async with open_planner(folder) as planner, guest(planner, launcher, "port") as first:
        again = asyncio.ensure_future(launcher.launch(first.plan.order))
        assert await asyncio.wait([again], timeout=0.3) == (set(), {again})
        await first.process.stop(5)
        second = await again
        await second.stop(5)
        with pytest.raises(ClientError):
            await first.ask(1)
