"""A script that calls an agent without any server, and ends while a task is at work."""

import asyncio

import httpx
from mounted import agent  # type: ignore[import-not-found]  # the file beside this one


async def main() -> None:
    """Invoke the agent once."""
    transport = httpx.ASGITransport(agent)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.post("/invocations", json={"seconds": 0.5})
        print(response.headers["x-outlast-task-ids"], flush=True)


asyncio.run(main())
