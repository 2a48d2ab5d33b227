"""Handlers that block, and a task that burns CPU, for the original SDK: PORT says where."""

import os
import threading
import time

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()
enough = threading.Event()


def burn(task_id):
    while not enough.is_set():
        sum(n * n for n in range(1_000))
    app.complete_async_task(task_id)


@app.entrypoint
def handler(payload):
    if payload.get("burn"):
        enough.clear()
        threading.Thread(target=burn, args=(app.add_async_task("burn"),), daemon=True).start()
    elif "burn" in payload:
        enough.set()
    else:
        time.sleep(payload["block"])
    return {"result": "ok"}


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
