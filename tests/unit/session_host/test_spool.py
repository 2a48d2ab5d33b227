"""Bodies of requests: in memory when they are small, on the disk when they are not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import json
import os
import resource
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from outlastd.front_door.request import ClientGone, Refusal
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.scratch import Disk
from outlastd.session_host.spool import MEMORY, SpooledBody, spool

from .bodies import open_files, request_of, threads_ended

Lines = Callable[[], list[dict[str, Any]]]

LIMIT = 100_000_000
SMALL = b"small" * 1_000
#: No two of its parts are alike, and its end fills no piece.
LARGE = b"".join(index.to_bytes(4, "big") for index in range(300_000)) + b"end"


@contextlib.contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Have temporary files go there, for as long as a test needs it: pytest makes some too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """Files are counted: no collection is to close some that other tests have left."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    """The lines that were logged since the last look."""
    return lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def in_pieces(body: bytes, size: int = 50_000) -> Iterator[bytes]:
    """Give a body as a socket would."""
    return (body[start : start + size] for start in range(0, len(body), size))


async def content(body: SpooledBody) -> bytes:
    """Read a body."""
    return b"".join([piece async for piece in body.chunks()])


@pytest.mark.parametrize("body", [b"", b"x", SMALL, LARGE[:MEMORY], LARGE[: MEMORY + 1], LARGE])
async def test_a_body_is_what_was_sent(body: bytes) -> None:
    """Size, digest and content are those of the request, and the content can be read several times."""
    spooled = await spool(request_of(in_pieces(body)), LIMIT)

    assert (spooled.size, spooled.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert await content(spooled) == body
    assert await spooled.whole() == body
    await spooled.close()


async def test_a_body_in_one_piece() -> None:
    """An adapter may give the whole body at once."""
    spooled = await spool(request_of([LARGE]), LIMIT)

    assert await content(spooled) == LARGE
    await spooled.close()


async def test_several_read_at_a_time() -> None:
    """Readers of one body do not disturb each other."""
    spooled = await spool(request_of(in_pieces(LARGE)), LIMIT)

    assert await asyncio.gather(*(content(spooled) for _ in range(5))) == [LARGE] * 5
    await spooled.close()


async def test_a_small_body_needs_no_file(tmp_path: Path) -> None:
    """What fits into memory stays there."""
    with temporary_files_in(tmp_path / "missing"):
        spooled = await spool(request_of(in_pieces(SMALL)), LIMIT)

    assert await content(spooled) == SMALL


async def test_nobody_can_open_the_file(tmp_path: Path) -> None:
    """A large body is in a file without a name."""
    before = open_files()
    with temporary_files_in(tmp_path):
        spooled = await spool(request_of(in_pieces(LARGE)), LIMIT)

    assert os.listdir(tmp_path) == []
    assert open_files() == before + 1
    await spooled.close()


async def test_closing_twice() -> None:
    """A body is let go of once, and can be read no more."""
    before = open_files()
    disk = Disk(10 * len(LARGE))
    spooled = await spool(request_of(in_pieces(LARGE)), LIMIT, disk=disk)
    assert disk.used > 0

    await spooled.close()
    await spooled.close()

    assert disk.used == 0
    with pytest.raises(ValueError, match="closed"):
        await content(spooled)
    await threads_ended()
    assert open_files() == before


async def test_all_bodies_together_have_a_bound() -> None:
    """A body for which there is no room is refused so that the client comes again, and then there may be room."""
    disk = Disk(len(LARGE) * 3 // 2)
    first = await spool(request_of(in_pieces(LARGE)), LIMIT, disk=disk)

    with pytest.raises(ApiError, match="no room") as refused:
        await spool(request_of(in_pieces(LARGE)), LIMIT, disk=disk)

    assert refused.value.status == 429
    await first.close()
    await (await spool(request_of(in_pieces(LARGE)), LIMIT, disk=disk)).close()
    assert disk.used == 0


async def test_a_disk_that_cannot_be_written(tmp_path: Path, lines: Lines) -> None:
    """The client hears that there is no room, the operator why."""
    disk = Disk(10 * len(LARGE))

    with temporary_files_in(tmp_path / "missing"), pytest.raises(ApiError, match="no room"):
        await spool(request_of(in_pieces(LARGE)), LIMIT, disk=disk)

    assert disk.used == 0
    [line] = lines()
    assert (line["message"], line["errorType"]) == ("a temporary file cannot be written", "FileNotFoundError")


async def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch, lines: Lines) -> None:
    """A write that finds no space leaves no file behind."""
    before = open_files()

    def pwrite(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(ApiError, match="no room"):
        await spool(request_of(in_pieces(LARGE)), LIMIT)

    await threads_ended()
    assert open_files() == before
    assert lines()[0]["errorMessage"] == "[Errno 28] No space left on device"


async def test_writes_may_be_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system may take less than it is given."""
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, start: pwrite(file, data[:100_000], start))

    spooled = await spool(request_of(in_pieces(LARGE)), LIMIT)

    assert await content(spooled) == LARGE
    await spooled.close()


@pytest.mark.parametrize("error", [ClientGone(), Refusal(408, "too slow"), Refusal(413, "too large")])
async def test_a_body_that_does_not_come(error: Exception) -> None:
    """Nothing is left of a body that breaks off."""
    before = open_files()
    disk = Disk(10 * len(LARGE))

    with pytest.raises(type(error)):
        await spool(request_of(in_pieces(LARGE), error), LIMIT, disk=disk)

    assert disk.used == 0
    await threads_ended()
    assert open_files() == before


async def test_a_cancel_while_the_disk_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is closed once the thread that writes it has ended, and not before: its number may be another's then."""
    before = open_files()
    pwrite, writes, goes_on = os.pwrite, threading.Event(), threading.Event()
    written: list[int] = []

    def slow(file: int, data: bytes, start: int) -> int:
        writes.set()
        goes_on.wait(30)
        written.append(pwrite(file, data, start))  # raises where the file is closed
        return written[-1]

    monkeypatch.setattr(os, "pwrite", slow)
    spooling = asyncio.ensure_future(spool(request_of(in_pieces(LARGE)), LIMIT))
    await asyncio.to_thread(writes.wait, 30)
    spooling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spooling

    assert open_files() == before + 1
    goes_on.set()
    await threads_ended()
    assert len(written) == 1
    assert open_files() == before


async def test_memory_is_flat() -> None:
    """However many large bodies come one after another, and however large they are, memory stays small."""
    piece = bytes(64 * 1024)
    tracemalloc.start()
    try:
        for _ in range(10):
            spooled = await spool(request_of(piece for _ in range(160)), LIMIT)
            assert spooled.size == 160 * len(piece)
            async for chunk in spooled.chunks():
                assert len(chunk) <= MEMORY
            await spooled.close()
        assert tracemalloc.get_traced_memory()[1] < 8 * MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.soak
async def test_memory_is_flat_for_the_largest_bodies() -> None:
    """Twenty bodies of 100 MB, one after another, leave the process about as large as it was."""
    piece = bytes(64 * 1024)

    async def one() -> None:
        spooled = await spool(request_of(piece for _ in range(1_525)), LIMIT)
        async for _ in spooled.chunks():
            pass
        await spooled.close()

    await one()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        await one()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before * 1.1
