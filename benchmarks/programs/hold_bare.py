"""The limit: asyncio.Tasks that wait, tracked by nobody."""

import asyncio
import os

import uvloop
from aiohttp import web

released = asyncio.Event()
tasks = set()


async def wait():
    await released.wait()


async def handler(request):
    for _ in range((await request.json())["start"]):
        tasks.add(asyncio.create_task(wait()))
    return web.json_response({"result": "ok"})


async def ping(request):
    return web.json_response({"status": "Healthy"})


app = web.Application()
app.router.add_post("/invocations", handler)
app.router.add_get("/ping", ping)

if __name__ == "__main__":
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)
