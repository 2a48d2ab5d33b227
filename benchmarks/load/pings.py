"""/ping of an agent whose handlers block: python -m benchmarks.load.pings URL --block 3 --seconds 6.

It has one task burn CPU in the agent (programs/blocking_*.py), keeps a number of sync handlers blocked by as many
connections that each invoke again as soon as they are answered, and pings at fixed times, whether or not the ping
before was answered: a late answer must not keep the next ping from being late, too. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

import aiohttp
import uvloop

from benchmarks.load.latencies import figures

_PATIENCE = aiohttp.ClientTimeout(total=60)


class Pings:
    """One load."""

    def __init__(self, options: argparse.Namespace, session: aiohttp.ClientSession) -> None:
        self._options = options
        self._session = session
        self._over = False
        self._invocations = 0
        self._seconds: list[float] = []

    async def measure(self) -> dict[str, float]:
        """Return how long pings took in milliseconds, and how many handlers were blocked on average."""
        options = self._options
        await self._invoke({"burn": True})
        began = time.perf_counter()
        blocked = [asyncio.create_task(self._keep_blocked()) for _ in range(options.handlers)]
        await asyncio.sleep(options.settle)
        pings = []
        first = time.perf_counter()
        for number in range(int(options.seconds * options.rate)):
            due = first + number / options.rate
            await asyncio.sleep(due - time.perf_counter())
            pings.append(asyncio.create_task(self._ping(due)))
        await asyncio.gather(*pings)
        self._over = True
        await asyncio.gather(*blocked)
        mean = self._invocations * options.block / (time.perf_counter() - began)
        await self._invoke({"burn": False})
        return {**figures(self._seconds), "blocked": mean}

    async def _keep_blocked(self) -> None:
        while not self._over:
            await self._invoke({"block": self._options.block})
            self._invocations += 1

    async def _ping(self, due: float) -> None:
        status = await self._status()
        self._seconds.append(time.perf_counter() - due)
        if status != "HealthyBusy":
            raise SystemExit(f"the agent says {status} though a task is at work")

    async def _status(self) -> str:
        async with self._session.get(f"{self._options.url}/ping", raise_for_status=True) as answer:
            return str((await answer.json())["status"])

    async def _invoke(self, body: dict[str, float]) -> None:
        async with self._session.post(f"{self._options.url}/invocations", json=body, raise_for_status=True) as answer:
            if await answer.json() != {"result": "ok"}:
                raise SystemExit(f"an invocation is answered with {await answer.text()}")


async def _measure(options: argparse.Namespace) -> dict[str, float]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=_PATIENCE) as session:
        return await Pings(options, session).measure()


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the agent")
    parser.add_argument("--handlers", type=int, default=40, help="handlers that are blocked at any time")
    parser.add_argument("--block", type=float, default=3.0, help="seconds that each of them blocks")
    parser.add_argument("--rate", type=float, default=50.0, help="pings a second")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument(
        "--settle",
        type=float,
        default=0.5,
        help="seconds before the first ping",
    )
    print(json.dumps(uvloop.run(_measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
