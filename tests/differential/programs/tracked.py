"""Tasks tracked by hand and by the decorator, and what the app says of them."""

import asyncio
import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()
ids = []
gate = None
background = set()


@app.async_task
async def work(value):
    """Works."""
    return value * 2


@app.async_task
async def waits():
    await gate.wait()


def info():
    told = app.get_async_task_info()
    return {**told, "running_jobs": [[job["name"], type(job["duration"]).__name__] for job in told["running_jobs"]]}


@app.entrypoint
async def handler(payload):
    global gate
    match payload["do"]:
        case "add":
            ids.append(app.add_async_task(payload["name"], payload.get("metadata")))
            return type(ids[-1]).__name__
        case "complete":
            return app.complete_async_task(ids.pop(0))
        case "complete unknown":
            return app.complete_async_task(5)
        case "call":
            return await work(payload["value"])
        case "start":
            gate = asyncio.Event()
            task = asyncio.create_task(waits())
            background.add(task)
            task.add_done_callback(background.discard)
            await asyncio.sleep(0)
        case "decorate def":
            return app.async_task(info).__name__
        case "let go":
            gate.set()
        case "name":
            return work.__name__
    return info()


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
