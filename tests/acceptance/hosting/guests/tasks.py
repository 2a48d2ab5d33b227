"""An agent of outlast's own: tasks that wait, tasks that die with their process, streams."""

import asyncio
import os
import signal
from pathlib import Path

from outlast import App

app = App()


@app.async_task
async def remember(word, seconds):
    await asyncio.sleep(seconds)
    return {"word": word, "pid": os.getpid()}


@app.entrypoint
async def handler(payload, context):
    match payload.get("do", "echo"):
        case "start":
            task = remember.start(payload["word"], payload.get("seconds", 0))
            return {"task": task, "pid": os.getpid(), "session": context.session_id}
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stream":

            async def numbers():
                for number in range(payload["count"]):
                    yield {"number": number}
                    await asyncio.sleep(payload.get("pause", 0))

            return numbers()
        case "sleep":
            await asyncio.sleep(payload["seconds"])
        case "environment":
            return dict(os.environ)
        case "write":
            Path(payload["name"]).write_text(payload["text"])
        case "read":
            return {"text": Path(payload["name"]).read_text(), "folder": os.getcwd()}
    return {"pid": os.getpid(), "session": context.session_id, "echo": payload}
