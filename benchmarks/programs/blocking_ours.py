"""Handlers that block, and a task that burns CPU, for outlast."""

import threading
import time

from outlast import App

app = App()
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
    app.run()
