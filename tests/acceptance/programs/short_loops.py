"""Tasks created on loops that end right after: `{"how": NAME}`. A sync entrypoint gives each call its own."""

import asyncio
from typing import Any

from outlast import App

app = App()
kept: set[object] = set()


@app.async_task
async def outlives(label: str) -> str:
    """Need a few turns of a loop, more than the loop that it was created on has left."""
    for _ in range(3):
        await asyncio.sleep(0.05)
    return label


@app.async_task
async def endless() -> None:
    """Wait for ever, or until somebody cancels it."""
    await asyncio.Event().wait()


async def create_and_return() -> None:
    """Leave a task behind that has taken its first step at most."""
    kept.add(asyncio.create_task(outlives("first step")))


async def create_in_the_last_turn() -> None:
    """Leave a task behind that has not taken its first step when the loop is torn down."""
    asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(outlives("no step")))


async def create_and_cancel() -> None:
    """Cancel a task after its first step."""
    task = asyncio.create_task(endless())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


@app.entrypoint
def handler(payload: dict[str, Any]) -> str:
    """Run one of them on a loop of its own."""
    asyncio.run(
        {
            "return": create_and_return,
            "last_turn": create_in_the_last_turn,
            "cancel": create_and_cancel,
        }[payload["how"]]()
    )
    return "answered"


if __name__ == "__main__":
    app.run()
