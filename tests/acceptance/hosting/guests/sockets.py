"""An agent of outlast's own that serves WebSockets: it echoes, closes, dies, and tells how connections have ended."""

import os
import signal

from outlast import App

app = App()
ends = []


@app.websocket
async def talk(websocket, context):
    await websocket.accept()
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            ends.append([message.get("code"), message.get("reason") or ""])
            return
        data, text = message.get("bytes"), message.get("text")
        if data is not None:
            await websocket.send_bytes(data)
            continue
        match text.split():
            case ["who"]:
                names = {name: value for name, value in websocket.headers.items() if "-custom-" in name}
                await websocket.send_json({"pid": os.getpid(), "session": context.session_id, "custom": names})
            case ["close", code, reason]:
                await websocket.close(int(code), reason)
            case ["die"]:
                os.kill(os.getpid(), signal.SIGKILL)
            case ["raise"]:
                raise ValueError("on purpose")
            case _:
                await websocket.send_text(text)


@app.entrypoint
async def handler(payload):
    return {"pid": os.getpid(), "ends": ends}
