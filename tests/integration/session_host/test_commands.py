"""InvokeAgentRuntimeCommand with boto3 as the client, and real commands beside a real process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EventStreamError

from outlast.core.session import Session
from outlastd.front_door.request import Request
from outlastd.front_door.response import Response
from outlastd.session_host.commands import MAX_BODY, run_command
from outlastd.session_host.ports import GuestProcess, LaunchOrder
from outlastd.session_host.processes.launcher import ForkingLauncher
from outlastd.session_host.use import Use

from .small_server import ARN, boto3_client, serving

START: dict[str, Any] = {"contentStart": {}}
DONE = {"contentStop": {"exitCode": 0, "status": "COMPLETED"}}


class LiveSession:
    """A session of which there is a process only."""

    def __init__(self, process: GuestProcess) -> None:
        self._process = process
        self.uses = 0
        #: Set when nobody uses it any more.
        self.unused = asyncio.Event()

    async def handle(self, request: Request) -> Response:
        """Run a command."""
        use = Use(self, cast(Any, None), self._process)
        return await run_command(use, await request.read(MAX_BODY))

    @property
    def record(self) -> Session:
        """Nobody asks for it."""
        raise AssertionError

    def use_began(self) -> None:
        """Count."""
        self.uses += 1

    def use_ended(self) -> None:
        """Count."""
        self.uses -= 1
        if not self.uses:
            self.unused.set()

    def touched(self) -> None:
        """Nobody counts."""

    async def until_told(self) -> str:
        """Wait for the end of the process."""
        return f"The session has ended: {await self._process.wait()}"


class Client:
    """Runs commands through boto3."""

    def __init__(self, session: LiveSession, process: GuestProcess, port: int) -> None:
        self.session = session
        self.process = process
        self.boto3 = boto3_client(port)

    async def start(self, command: str, **more: Any) -> Any:
        """Return the stream of a command's events."""
        answer = await asyncio.to_thread(
            self.boto3.invoke_agent_runtime_command, agentRuntimeArn=ARN, body={"command": command, **more}
        )
        assert answer["contentType"] == "application/vnd.amazon.eventstream"
        return answer["stream"]

    async def run(self, command: str, **more: Any) -> list[dict[str, Any]]:
        """Return all events of a command."""
        stream = await self.start(command, **more)
        return await asyncio.to_thread(lambda: [event["chunk"] for event in stream])


@contextlib.asynccontextmanager
async def live_session(folder: Path, **environment: str) -> AsyncIterator[Client]:
    """Start a session whose process does nothing, and give a client of it."""
    argv = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
    launcher = ForkingLauncher()
    process = await launcher.launch(LaunchOrder("a session", argv, environment, folder, folder / "order.lock"))
    session = LiveSession(process)
    async with serving(session.handle) as port:
        client = Client(session, process, port)
        yield client
        client.boto3.close()
        await process.stop(0)
    await launcher.close()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a session."""
    async with live_session(tmp_path, PATH=os.environ["PATH"], OF_THE_SESSION="yes") as client:
        yield client


def outputs(events: list[dict[str, Any]], name: str) -> str:
    """Return what a command wrote to one of its outputs."""
    return "".join(event.get("contentDelta", {}).get(name, "") for event in events)


async def test_a_command(client: Client, tmp_path: Path) -> None:
    """It runs in the session's folder with its environment, and its outputs are told apart."""
    events = await client.run("pwd; echo $OF_THE_SESSION; echo oh >&2; exit 3")

    assert (events[0], events[-1]) == (START, {"contentStop": {"exitCode": 3, "status": "COMPLETED"}})
    assert outputs(events, "stdout") == f"{tmp_path}\nyes\n"
    assert outputs(events, "stderr") == "oh\n"
    assert client.session.uses == 0


async def test_bash(client: Client) -> None:
    """What only bash understands is understood."""
    assert outputs(await client.run("a=(one two); echo ${a[1]}"), "stdout") == "two\n"


async def test_without_bash(tmp_path: Path) -> None:
    """Where there is no bash on the session's path, sh runs the command."""
    async with live_session(tmp_path, PATH=str(tmp_path)) as client:
        assert outputs(await client.run("echo $0"), "stdout") == "/bin/sh\n"


async def test_quotes_and_lines(client: Client) -> None:
    """The command is taken as it is."""
    events = await client.run("""cat <<'END'\n'one' "two" $three \\ ☃\nEND\n""")

    assert outputs(events, "stdout") == "'one' \"two\" $three \\ ☃\n"


async def test_a_long_command(client: Client) -> None:
    """It may have 65,536 characters."""
    command = "echo " + "x" * 65_531

    assert outputs(await client.run(command), "stdout") == "x" * 65_531 + "\n"


async def test_much_output(client: Client) -> None:
    """Nothing of it is lost."""
    events = await client.run("head -c 3000000 /dev/zero | tr '\\0' x")

    assert outputs(events, "stdout") == "x" * 3_000_000
    assert events[-1] == DONE


async def test_its_time_is_up(client: Client) -> None:
    """It is killed, with what it started, and the client is told."""
    events = await client.run("echo one; sleep 600 & sleep 600", timeout=1)

    assert outputs(events, "stdout") == "one\n"
    assert events[-1] == {"contentStop": {"exitCode": 124, "status": "TIMED_OUT"}}


async def test_a_signal(client: Client) -> None:
    """It is told as a shell does."""
    events = await client.run("kill -TERM $$")

    assert events[-1] == {"contentStop": {"exitCode": 143, "status": "COMPLETED"}}


async def test_the_session_ends(client: Client) -> None:
    """boto3 raises an error with the reason."""
    stream = await client.start("echo one; sleep 600")

    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        for event in stream:
            if "contentDelta" in event["chunk"]:
                loop.call_soon_threadsafe(begun.set)

    reading = asyncio.create_task(asyncio.to_thread(read))
    await begun.wait()
    await client.process.stop(0)

    with pytest.raises(EventStreamError, match="The session has ended: signal") as raised:
        await reading
    assert raised.value.response["Error"]["Code"] == "runtimeClientError"
    stream.close()


async def test_the_client_leaves(client: Client, tmp_path: Path) -> None:
    """The command is killed."""
    stream = await client.start("echo $$; sleep 600")
    events = iter(stream)
    while "contentDelta" not in (event := (await asyncio.to_thread(next, events))["chunk"]):
        pass
    pid = int(event["contentDelta"]["stdout"])
    os.kill(pid, 0)

    await asyncio.to_thread(stream.close)
    await client.session.unused.wait()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_bad_request(client: Client) -> None:
    """boto3 raises an error that names the field."""
    with pytest.raises(ClientError, match="timeout: a whole number of seconds") as raised:
        await client.run("true", timeout=0)

    assert raised.value.response["Error"]["Code"] == "ValidationException"


async def test_several_at_a_time(client: Client) -> None:
    """Commands of one session do not wait for each other, and are not mixed up."""
    answers = await asyncio.gather(*(client.run(f"sleep 0.1; echo {number}") for number in range(5)))

    assert [outputs(events, "stdout") for events in answers] == [f"{number}\n" for number in range(5)]
