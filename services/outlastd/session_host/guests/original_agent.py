"""Runs a program that was written for bedrock_agentcore with that SDK: ``python original_agent.py FILE``.

The program is not changed: it asks uvicorn for a port, as the documents have it. Here uvicorn is made to serve the Unix
socket in OUTLAST_FRONT_DOOR_SOCKET instead, behind the secret in OUTLAST_FRONT_DOOR_SECRET.
This file stands alone: the Python that runs it need not have outlast.
"""

from __future__ import annotations

import hmac
import os
import runpy
import sys
from typing import Any

_HEADER = b"x-outlast-secret"


class Locked:
    """An ASGI application that answers only to who shows the secret."""

    def __init__(self, app: Any, secret: str) -> None:
        self._app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on what may come in, without the secret."""
        if scope["type"] in ("http", "websocket"):
            shown = [value for name, value in scope["headers"] if name == _HEADER]
            if len(shown) != 1 or not hmac.compare_digest(shown[0], self._secret):
                await _refuse(scope, send)
                return
            headers = [(name, value) for name, value in scope["headers"] if name != _HEADER]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


async def _refuse(scope: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"error":"Forbidden"}'})


class Redirection:
    """Has the first server that a program makes serve the socket; a second one is its own affair."""

    def __init__(self, socket: str, secret: str) -> None:
        self._socket = socket
        self._secret = secret
        #: Whether there is a server.
        self.taken = False

    def install(self) -> None:
        """Change uvicorn's Config, which every way of starting it goes through."""
        import uvicorn

        server: Any = uvicorn.Config
        init, load = server.__init__, server.load
        ours: list[Any] = []

        def redirected_init(config: Any, *args: Any, **options: Any) -> None:
            init(config, *args, **options)
            if not self.taken:
                self.taken = True
                ours.append(config)
                config.uds, config.fd = self._socket, None
                # A process of uvicorn's own would not come through here.
                config.workers, config.reload = 1, False

        def redirected_load(config: Any) -> None:
            load(config)
            if config in ours:
                config.loaded_app = Locked(config.loaded_app, self._secret)

        server.__init__, server.load = redirected_init, redirected_load


def main() -> None:
    """Run the program; if it ends with one app that nothing serves, serve that."""
    program = sys.argv[1]
    sys.argv[:] = sys.argv[1:]
    sys.path[0] = os.path.dirname(os.path.realpath(program))
    redirection = Redirection(os.environ.pop("OUTLAST_FRONT_DOOR_SOCKET"), os.environ.pop("OUTLAST_FRONT_DOOR_SECRET"))
    try:
        redirection.install()
    except ImportError as error:
        sys.exit(f"outlast: {sys.executable} cannot run {program} ({error}): install bedrock-agentcore for it")
    names = runpy.run_path(program, run_name="__main__")
    kind = getattr(sys.modules.get("bedrock_agentcore"), "BedrockAgentCoreApp", ())
    apps = {id(value): value for value in names.values() if isinstance(value, kind)}
    if not redirection.taken and len(apps) == 1:
        next(iter(apps.values())).run()


if __name__ == "__main__":
    main()
