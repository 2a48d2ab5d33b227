"""An app with a lifespan and with middleware of both of Starlette's kinds."""

import contextlib
import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse

events = []


@contextlib.asynccontextmanager
async def lifespan(app):
    events.append(f"started {type(app).__name__}")
    yield
    print("ended", flush=True)


class Outer:
    def __init__(self, app, name):
        self.app = app
        self.name = name

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def adding(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-outer", self.name.encode())]
            await send(message)

        scope.setdefault("state", {})["outer"] = self.name
        await self.app(scope, receive, adding)


class Inner(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        if "x-refuse" in request.headers:
            return PlainTextResponse("refused", status_code=401, headers={"WWW-Authenticate": "Bearer"})
        if "x-fail" in request.headers:
            raise RuntimeError("in the middleware")
        request.state.inner = request.headers.get("x-own")
        response = await call_next(request)
        response.headers["X-Inner"] = f"{response.status_code}"
        return response


app = BedrockAgentCoreApp(lifespan=lifespan, middleware=[Middleware(Outer, name="outer"), Middleware(Inner)])


@app.entrypoint
def handler(payload, context):
    if payload == "fail":
        raise ValueError("on purpose")
    if payload == "stream":
        return stream(context)
    state = context.request.state
    return {"payload": payload, "outer": state.outer, "inner": state.inner, "events": events}


def stream(context):
    yield context.request.state.inner
    yield events


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
