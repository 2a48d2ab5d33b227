"""Returns the Starlette responses that payloads name."""

import os
import pathlib

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from starlette.background import BackgroundTask
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

app = BedrockAgentCoreApp()
done = []


class Own(JSONResponse):
    media_type = "application/vnd.own+json"


class Later(Response):
    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 206, "headers": [(b"x-own", b"sent")]})
        await send({"type": "http.response.body", "body": b"in two ", "more_body": True})
        await send({"type": "http.response.body", "body": b"pieces"})


def cookies():
    response = JSONResponse({"cookies": 2})
    response.set_cookie("a", "1", httponly=True)
    response.set_cookie("b", "2", max_age=60)
    return response


def pieces():
    yield b"one "
    yield "two ü"


async def async_pieces():
    yield "one "
    yield b"two"


def failing_pieces():
    yield b"one "
    raise RuntimeError("in the middle")


def background():
    return JSONResponse({"background": True}, background=BackgroundTask(done.append, 1))


FILE = pathlib.Path(__file__)

RESPONSES = {
    "json": lambda: JSONResponse({"ü": [1, None]}),
    "json 201": lambda: JSONResponse({"made": True}, status_code=201),
    "json 404": lambda: JSONResponse({"error": "not there"}, status_code=404, headers={"X-Own": "yes"}),
    "json 500": lambda: JSONResponse({"error": "worse"}, status_code=500),
    "text": lambda: PlainTextResponse("plain ü"),
    "text 400": lambda: PlainTextResponse("bad", status_code=400),
    "html": lambda: HTMLResponse("<p>ü</p>"),
    "redirect": lambda: RedirectResponse("/elsewhere?a=b c"),
    "redirect 303": lambda: RedirectResponse("/elsewhere", status_code=303),
    "nothing": lambda: Response(),
    "204": lambda: Response(status_code=204),
    "304": lambda: Response(status_code=304, headers={"ETag": '"a"'}),
    "bytes": lambda: Response(b"\x00\xff", media_type="application/octet-stream"),
    "no type": lambda: Response("text"),
    "latin": lambda: Response("x", media_type="text/plain; charset=latin-1"),
    "content type header": lambda: Response("x", headers={"Content-Type": "text/x-own"}),
    "headers": lambda: Response("x", headers={"X-One": "1", "x-two": "a, b"}),
    "cookies": cookies,
    "own": lambda: Own({"own": True}),
    "418": lambda: Response("teapot", status_code=418),
    "599": lambda: Response("own", status_code=599),
    "stream": lambda: StreamingResponse(pieces(), media_type="text/plain"),
    "stream async": lambda: StreamingResponse(async_pieces(), media_type="text/event-stream"),
    "stream 404": lambda: StreamingResponse(iter([b"a"]), status_code=404, headers={"X-Own": "yes"}),
    "stream failing": lambda: StreamingResponse(failing_pieces(), media_type="text/plain"),
    "stream nothing": lambda: StreamingResponse(iter([])),
    "file": lambda: FileResponse(FILE, media_type="text/x-python", headers={"ETag": '"a"', "Last-Modified": "never"}),
    "file as": lambda: FileResponse(FILE, filename="ü.txt", headers={"ETag": '"a"', "Last-Modified": "never"}),
    "later": Later,
    "background": background,
}


def handler(payload):
    return len(done) if payload["response"] == "done" else RESPONSES[payload["response"]]()


async def async_handler(payload):
    return handler(payload)


@app.entrypoint
def choose(payload):
    app.entrypoint({"sync": handler, "async": async_handler}[payload["kind"]])


@app.ping
def begin_anew():
    app.entrypoint(choose)
    return "Healthy"


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
