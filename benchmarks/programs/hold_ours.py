"""Holds tasks at work: as async tasks that wait, or tracked by hand."""

import asyncio

from outlast import App

app = App()
released = asyncio.Event()


@app.async_task
async def wait():
    await released.wait()


@app.entrypoint
async def handler(payload):
    for _ in range(payload["start"]):
        if payload["by_hand"]:
            app.add_async_task("wait")
        else:
            wait.start()
    return {"result": "ok"}


if __name__ == "__main__":
    app.run()
