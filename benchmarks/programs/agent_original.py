"""The same agent for the original SDK: PORT says where."""

import asyncio
import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()
running = set()


@app.async_task
async def work():
    return {"done": True}


@app.entrypoint
async def handler(payload):
    if payload.get("task"):
        task = asyncio.create_task(work())
        running.add(task)
        task.add_done_callback(running.discard)
    return {"result": "ok", "n": 1}


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
