"""An agent as people write it for the original SDK, which knows nothing of outlast."""

import asyncio
import os
import threading
import time

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from starlette.responses import JSONResponse

app = BedrockAgentCoreApp()


@app.async_task
async def work(seconds):
    await asyncio.sleep(seconds)


def work_by_hand(task_id, seconds):
    time.sleep(seconds)
    app.complete_async_task(task_id)


@app.entrypoint
async def handler(payload, context):
    if payload.get("work"):
        asyncio.create_task(work(payload["work"]))
    if payload.get("by_hand"):
        task_id = app.add_async_task("by hand")
        threading.Thread(target=work_by_hand, args=(task_id, payload["by_hand"]), daemon=True).start()
    if payload.get("fail"):
        raise ValueError(payload["fail"])
    if payload.get("stream"):

        async def stream():
            for number in range(payload["stream"]):
                yield {"number": number}

        return stream()
    return {"pid": os.getpid(), "session": context.session_id, "echo": payload, "module": type(app).__module__}


@app.websocket
async def talk(websocket, context):
    await websocket.accept()
    await websocket.send_json({"pid": os.getpid(), "session": context.session_id})
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


async def card(request):
    return JSONResponse({"name": "sdk", "url": str(request.url.path)})


app.add_route("/.well-known/agent-card.json", card)

if __name__ == "__main__":
    app.run()
