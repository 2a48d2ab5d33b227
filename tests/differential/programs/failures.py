"""Raises what payloads name, where they say: at once, or in the middle of a stream."""

import asyncio
import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from starlette.exceptions import HTTPException, WebSocketException

app = BedrockAgentCoreApp()


class Own(Exception):
    def __init__(self, text, code):
        super().__init__(text, code)


class Empty(Exception):
    pass


class OwnHTTP(HTTPException):
    def __str__(self):
        return "an HTTP exception of its own"


class LooksLikeHTTP(Exception):
    status_code = 418
    detail = "only looks like it"


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("says nothing")


def chained():
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("because of another") from error


def raising(error):
    raise error


FAILURES = {
    "value": lambda: raising(ValueError("wrong")),
    "key": lambda: raising(KeyError("name")),
    "empty": lambda: raising(Empty()),
    "none": lambda: raising(ValueError(None)),
    "two": lambda: raising(Own("text", 5)),
    "object": lambda: raising(ValueError({"a": 1})),
    "unicode": lambda: raising(ValueError("Grüße \U0001f600 \x01")),
    "lines": lambda: raising(ValueError("one\ntwo\n\ndata: x")),
    "long": lambda: raising(ValueError("x" * 10_000)),
    "chained": chained,
    "group": lambda: raising(ExceptionGroup("several", [ValueError("a"), KeyError("b")])),
    "assertion": lambda: raising(AssertionError()),
    "zero": lambda: 1 / 0,
    "attribute": lambda: None.nothing,
    "os": lambda: open("/nonexistent/file"),
    "import": lambda: raising(ModuleNotFoundError("No module named 'x'", name="x")),
    "syntax": lambda: compile("a b", "there.py", "exec"),
    "json": lambda: __import__("json").loads("{"),
    "unicode decode": lambda: b"\xff".decode(),
    "recursion": lambda: raising(RecursionError("maximum recursion depth exceeded")),
    "memory": lambda: raising(MemoryError()),
    "timeout": lambda: raising(TimeoutError()),
    "not implemented": lambda: raising(NotImplementedError),
    "connection": lambda: raising(ConnectionResetError(104, "Connection reset by peer")),
    "warning": lambda: raising(UserWarning("raised")),
    "websocket": lambda: raising(WebSocketException(1008, "policy")),
    "http 400": lambda: raising(HTTPException(400, "bad")),
    "http 401": lambda: raising(HTTPException(401, "who", headers={"WWW-Authenticate": "Bearer"})),
    "http 404": lambda: raising(HTTPException(404)),
    "http 418": lambda: raising(HTTPException(418, detail="")),
    "http 422 object": lambda: raising(HTTPException(422, detail={"field": ["a", 1, None]})),
    "http 422 list": lambda: raising(HTTPException(422, detail=["ü", {"b": 2}])),
    "http 429": lambda: raising(HTTPException(429, "slow", headers={"Retry-After": "7"})),
    "http 500": lambda: raising(HTTPException(500, "worse")),
    "http 503": lambda: raising(HTTPException(503)),
    "http 599": lambda: raising(HTTPException(599, "own")),
    "http 200": lambda: raising(HTTPException(200, "fine")),
    "http 204": lambda: raising(HTTPException(204, "nothing")),
    "http 302": lambda: raising(HTTPException(302, "elsewhere", headers={"Location": "/there"})),
    "http child": lambda: raising(OwnHTTP(409, "conflict")),
    "http number": lambda: raising(HTTPException(400, 7)),
    "stop async": lambda: raising(StopAsyncIteration("early")),
}
#: What the original has no words for: it answers "Internal Server Error", or breaks the stream off.
UNSPEAKABLE = {
    "surrogate": lambda: raising(ValueError("half \ud83d")),
    "http surrogate": lambda: raising(HTTPException(400, "half \ud83d")),
    "http set": lambda: raising(HTTPException(400, {1})),
    "http nan": lambda: raising(HTTPException(400, float("nan"))),
    "mute": lambda: raising(Mute()),
}
#: What the original does not catch: its server ends, or the client waits for ever.
DEADLY = {
    "cancelled": lambda: raising(asyncio.CancelledError()),
    "generator exit": lambda: raising(GeneratorExit()),
    "exit": lambda: raising(SystemExit(3)),
    "interrupt": lambda: raising(KeyboardInterrupt()),
    "base": lambda: raising(BaseException("base")),
}
#: What outlast tells in a way of its own.
OWN = {
    "stop": lambda: raising(StopIteration("early")),
    "looks like http": lambda: raising(LooksLikeHTTP("its own text")),
}
EVERY = {**FAILURES, **UNSPEAKABLE, **DEADLY, **OWN}


def handler(payload):
    fail = EVERY[payload["failure"]]
    return some(fail) if payload["how"].endswith("stream") else fail()


async def async_handler(payload):
    fail = EVERY[payload["failure"]]
    return some_async(fail) if payload["how"].endswith("stream") else fail()


def some(fail):
    yield "one"
    fail()
    yield "never"


async def some_async(fail):
    yield "one"
    fail()
    yield "never"


@app.entrypoint
def choose(payload):
    app.entrypoint({"sync": handler, "async": async_handler}[payload["kind"]])


@app.ping
def begin_anew():
    app.entrypoint(choose)
    return "Healthy"


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
