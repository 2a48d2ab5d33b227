"""The body of an agent's answer, passed on."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientPayloadError

from outlastd.front_door.sse import KEEPALIVE
from outlastd.session_host import asking
from outlastd.session_host.relay import BrokenOff, Relay, Sent


class Answer:
    """What the relay asks of aiohttp's answer: pieces that come when the test says so."""

    def __init__(self, content_type: str = "text/event-stream") -> None:
        self.content_type = content_type
        self.pieces: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        #: What had come before the connection broke, and was not read.
        self.unread = b""
        self.content = self

    async def readany(self) -> bytes:
        """Return the next piece; nothing at the end."""
        piece = await self.pieces.get()
        if isinstance(piece, Exception):
            raise piece
        return piece

    def set_exception(self, error: None) -> None:
        """Let the rest be read."""

    def read_nowait(self) -> bytes:
        """Return the rest."""
        return self.unread

    def close(self) -> None:
        """Break off."""
        self.pieces.put_nowait(ClientPayloadError())


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LAST_WORDS", 0.01)


def _relay(answer: Any, told: list[Sent], keepalive: float = 60.0) -> tuple[Relay, asyncio.Future[str]]:
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    return Relay(answer, ended, AsyncExitStack(), told.append, keepalive=keepalive), ended


async def test_what_is_told_of_an_answer() -> None:
    """At its end an answer's bytes and its largest piece are told."""
    answer = Answer()
    told: list[Sent] = []
    relay, _ = _relay(answer, told)
    for piece in (b"data: 1\n\n", b"data: 12\n\n", b""):
        answer.pieces.put_nowait(piece)

    assert [piece async for piece in relay] == [b"data: 1\n\n", b"data: 12\n\n"]
    await relay.aclose()
    assert [(sent.size, sent.largest_chunk, sent.streamed) for sent in told] == [(19, 10, True)]


async def test_a_silent_stream_of_events() -> None:
    """A silent stream of events gets comments, but never within a line; another answer gets none."""
    answer = Answer()
    relay, _ = _relay(answer, [], keepalive=0.001)
    assert [await anext(relay) for _ in range(2)] == [KEEPALIVE] * 2
    answer.pieces.put_nowait(b"data: ha")
    while (piece := await anext(relay)) == KEEPALIVE:
        pass
    assert piece == b"data: ha"
    rest = asyncio.ensure_future(anext(relay))
    await asyncio.sleep(0.05)
    assert not rest.done()
    answer.pieces.put_nowait(b"lf\n\n")
    assert await rest == b"lf\n\n"
    await relay.aclose()

    other, _ = _relay(Answer("application/json"), [], keepalive=0.001)
    reading = asyncio.ensure_future(anext(other))
    await asyncio.sleep(0.05)
    assert not reading.done()
    reading.cancel()
    await other.aclose()


@pytest.mark.parametrize(("before", "gap"), [(b"data: 1\n\n", b"\n"), (b"data: ha", b"\n\n")])
async def test_a_stream_of_events_that_breaks_off(before: bytes, gap: bytes) -> None:
    """What had come is given, then an event that tells of it, then the answer is broken off, and stays so."""
    answer = Answer()
    relay, ended = _relay(answer, [])
    answer.unread = before
    answer.pieces.put_nowait(ClientPayloadError())
    ended.set_result("the agent has ended with exit code 1")

    assert await anext(relay) == before
    event = await anext(relay)
    assert event.startswith(gap + b"data: {")
    assert json.loads(event.strip().removeprefix(b"data: "))["error"] == "the agent has ended with exit code 1"
    for _ in range(2):
        with pytest.raises(BrokenOff, match="exit code 1"):
            await anext(relay)
    await relay.aclose()


async def test_another_answer_that_breaks_off() -> None:
    """What is no stream of events has no event put in; where nothing is known of the agent, that it broke off is."""
    answer = Answer("application/octet-stream")
    relay, _ = _relay(answer, [])
    answer.pieces.put_nowait(ClientPayloadError())

    with pytest.raises(BrokenOff, match="The agent broke its answer off"):
        await anext(relay)
    await relay.aclose()


async def test_a_session_that_ends_within_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that goes on, though its session has ended, is cut off a while later."""
    monkeypatch.setattr("outlastd.session_host.relay.LAST_WORDS", 0.01)
    answer = Answer("application/octet-stream")
    relay, ended = _relay(answer, [])
    ended.set_result("stopped")

    with pytest.raises(BrokenOff, match="stopped"):
        await anext(relay)
    await relay.aclose()
