"""Handlers of WebSocket connections; the query says which."""

import asyncio
import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect

app = BedrockAgentCoreApp(debug=True)


async def echo(websocket, context):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def binary(websocket, context):
    await websocket.accept()
    async for data in websocket.iter_bytes():
        await websocket.send_bytes(data[::-1])


async def json(websocket, context):
    await websocket.accept()
    async for value in websocket.iter_json():
        await websocket.send_json({"got": value})


async def known(websocket, context):
    await websocket.accept(subprotocol=websocket.query_params["subprotocol"], headers=[(b"x-own", b"1")])
    await websocket.send_json(
        {
            "session": context.session_id,
            "headers": {
                name: value for name, value in (context.request_headers or {}).items() if name.startswith("x-")
            },
            "same": context.request is websocket,
            "app": websocket.app is app,
            "custom": websocket.headers.getlist("X-Custom"),
            "query": websocket.query_params.multi_items(),
            "path": websocket.url.path,
            "subprotocols": websocket.scope["subprotocols"],
            "type": f"{type(websocket).__module__}.{type(websocket).__name__}",
        }
    )
    await websocket.close()


async def closes(websocket, context):
    await websocket.accept()
    await websocket.close(4000, "so long")


async def closes_with_no_code(websocket, context):
    await websocket.accept()
    await websocket.close(1005)


async def closes_wordily(websocket, context):
    await websocket.accept()
    await websocket.close(1000, "x" * 124)


async def raises(websocket, context):
    await websocket.accept()
    raise ValueError("late")


async def raises_early(websocket, context):
    raise ValueError("early")


async def raises_after_close(websocket, context):
    await websocket.accept()
    await websocket.close(4001)
    raise ValueError("after")


async def returns(websocket, context):
    await websocket.accept()
    await websocket.send_text("bye")


async def returns_early(websocket, context):
    pass


async def refuses(websocket, context):
    await websocket.close(4002)


async def denies(websocket, context):
    await websocket.receive()
    await websocket.send_denial_response(JSONResponse({"why": "not you"}, 401))


async def sends_no_text(websocket, context):
    await websocket.accept()
    await websocket.send_text("\ud800")


async def expects_bytes(websocket, context):
    await websocket.accept()
    await websocket.receive_bytes()


async def tells_how_it_ended(websocket, context):
    await websocket.accept()
    try:
        await websocket.receive_text()
    except WebSocketDisconnect as error:
        app.logger.info("ended: %s %s", error.code, error.reason)
        raise


async def sends_too_late(websocket, context):
    await websocket.accept()
    await websocket.receive()
    await websocket.send_text("too late")


async def hears_of_its_own_close(websocket, context):
    await websocket.accept()
    await websocket.close(4003, "mine")
    app.logger.info("heard: %s", sorted((await websocket.receive()).items()))


async def gives_up_waiting(websocket, context):
    await websocket.accept()
    try:
        await asyncio.wait_for(websocket.receive_text(), 0.01)
    except TimeoutError:
        await websocket.send_text("nothing yet")
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


@app.entrypoint
def invoke(payload):
    return payload


@app.websocket
async def serve(websocket, context):
    await globals()[websocket.query_params["handler"]](websocket, context)


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
