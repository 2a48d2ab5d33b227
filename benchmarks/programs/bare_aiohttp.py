"""The limit: a bare aiohttp handler on uvloop that reads JSON and answers JSON; no log, no task, no checks."""

import os

import uvloop
from aiohttp import web


async def handler(request):
    await request.json()
    return web.json_response({"result": "ok", "n": 1})


async def ping(request):
    return web.json_response({"status": "Healthy"})


app = web.Application()
app.router.add_post("/invocations", handler)
app.router.add_get("/ping", ping)

if __name__ == "__main__":
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)
