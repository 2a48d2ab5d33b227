"""Invocations that start tasks: python -m benchmarks.load.task_invocations URL ... --tasks 10000.

Each invocation has a number of tasks started and is answered when all of them have ended and are committed. The last
line is a JSON object: how many tasks there were, in how many seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator

import aiohttp
import uvloop

#: Invocations at a time at each agent, and tasks of each. With five operations a task they are fewer than what a worker
#: may have under way (4,096): no report of progress has to wait for that, and to give way to the next one.
CONNECTIONS, EACH = 8, 100


async def invoke(session: aiohttp.ClientSession, url: str, sizes: Iterator[int]) -> None:
    """Call one agent, call after call, until all tasks were given out."""
    for size in sizes:
        async with session.post(url, json={"tasks": size}) as response:
            answer = await response.json()
            if response.status != 200 or answer["answers"] != list(range(size)):
                raise SystemExit(f"{url} answered {response.status}: {answer}")


async def measure(urls: list[str], tasks: int) -> dict[str, float]:
    """Return what came of so many tasks."""
    sizes = iter([min(EACH, tasks - first) for first in range(0, tasks, EACH)])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(invoke(session, url, sizes) for url in urls for _ in range(CONNECTIONS)))
        return {"tasks": tasks, "began": began, "seconds": time.perf_counter() - began}


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+", help="where agents take invocations")
    parser.add_argument("--tasks", type=int, default=10_000)
    options = parser.parse_args()
    print(json.dumps(uvloop.run(measure(options.urls, options.tasks))))


if __name__ == "__main__":
    main()
