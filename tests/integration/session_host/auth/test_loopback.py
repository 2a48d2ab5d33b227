"""Callers on this machine, where no credentials are configured: processes of their own make the requests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .gate import Boto, Serve, Served

#: Asks a gate and prints the status and the name, for each line that it reads; "child" makes a child ask.
CALLER = """
import http.client, json, os, subprocess, sys
for line in sys.stdin:
    if line.strip() == "child":
        subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[1], sys.argv[2]], input=b"ask", check=True)
        continue
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]))
    connection.request("GET", "/sessions")
    answer = connection.getresponse()
    print(answer.status, json.loads(answer.read()).get("name"), flush=True)
"""

#: Starts a caller and says its pid, as a warden starts the process of a session.
WARDEN = """
import subprocess, sys
caller = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
print(caller.pid, flush=True)
caller.wait()
"""

pytestmark = pytest.mark.usefixtures("proc")


class Caller:
    """A process that asks when it is told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders, self._answers = process.stdin, process.stdout
        #: The process below the warden.
        self.pid = 0

    async def line(self) -> str:
        """Return the next line that it prints."""
        return (await self._answers.readline()).decode().strip()

    async def says(self, order: str) -> str:
        """Give it an order; return what it prints."""
        self._orders.write(f"{order}\n".encode())
        return await self.line()


@asynccontextmanager
async def running(served_port: int, *, user: int | None = None) -> AsyncIterator[Caller]:
    """Run a caller below a warden; it ends when its input does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WARDEN, CALLER, CALLER, str(served_port)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        user=user,
        cwd="/",
    )
    try:
        caller = Caller(process)
        caller.pid = int(await caller.line())
        yield caller
    finally:
        await process.communicate(b"")


#: No process: what descends from the test's own, as the callers do, would be guests of its host.
NOBODY = -1


async def test_an_ordinary_process_is_let_in(serve: Serve) -> None:
    """As an operator, since the machine is its owner's."""
    served = await serve(host=NOBODY)

    async with running(served.port) as caller:
        assert await caller.says("ask") == "200 local"
        assert await caller.says("child") == "200 local"
    answer = await served.ask("GET", "/sessions")
    assert answer.json["operator"]


async def test_a_guest_is_not_let_in(serve: Serve) -> None:
    """Nor is what it starts; a process beside it is."""
    guests: list[tuple[int, int]] = []
    served = await serve(guests=guests, host=NOBODY)

    async with running(served.port) as guest, running(served.port) as other:
        guests.append((guest.pid, os.geteuid()))
        assert await guest.says("ask") == "403 None"
        assert await guest.says("child") == "403 None"
        assert await other.says("ask") == "200 local"


async def test_whatever_the_host_starts_is_a_guest(serve: Serve) -> None:
    """Before the host has heard of its process; not so the host itself."""
    served = await serve()

    async with running(served.port) as caller:
        assert await caller.says("ask") == "403 None"
    assert (await served.ask("GET", "/sessions")).status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as somebody else")
async def test_a_user_of_a_guests_own_is_not_let_in(serve: Serve) -> None:
    """Whichever process it is; another user is."""
    guests: list[tuple[int, int]] = []
    served = await serve(guests=guests, host=NOBODY)

    async with (
        running(served.port, user=61_184) as session,
        running(served.port, user=61_184) as guest,
        running(served.port, user=61_185) as other,
    ):
        guests.append((session.pid, 61_184))
        assert await guest.says("ask") == "403 None"
        assert await other.says("ask") == "200 local"


async def test_credentials_of_aws_are_not_looked_at(serve: Serve) -> None:
    """boto3 signs with whatever it has; a guest is none the better for it."""
    served, guarded = await serve(host=NOBODY), await serve(guests=[(os.getpid(), os.geteuid())], host=NOBODY)

    assert (await Boto(served.url, secret="made-up").invoke())["name"] == "local"
    with pytest.raises(Exception, match="AccessDeniedException"):
        await Boto(guarded.url).invoke()


async def test_other_credentials_are_not_ignored(serve: Serve) -> None:
    """Whoever shows a token means to be somebody: a wrong one is refused, the operator's is good for a guest too."""
    served = await serve(host=NOBODY)

    async def status(authorization: str) -> int:
        return (await served.ask("GET", "/sessions", {"Authorization": authorization})).status

    assert await status("Bearer operators") == 200
    assert await status("bearer operators ") == 200
    for wrong in ("Bearer other", "Bearer", "Basic YTpi", "operators", ""):
        assert await status(wrong) == 403


async def test_what_a_proxy_passed_on_is_not_of_this_machine(serve: Serve) -> None:
    """It may come from anywhere."""
    served = await serve(host=NOBODY)

    for name in ("X-Forwarded-For", "Forwarded"):
        assert (await served.ask("GET", "/sessions", {name: "for=127.0.0.1"})).status == 403


async def test_without_a_token_nobody_shows_it(serve: Serve) -> None:
    """An empty token is no token."""
    served: Served = await serve(token="")

    assert (await served.ask("GET", "/sessions", {"Authorization": "Bearer "})).status == 403
