"""The agent of the benchmarks for outlast: OUTLAST_PORT and OUTLAST_HOST say where."""

from outlast import App

app = App()


@app.async_task
async def work():
    return {"done": True}


@app.entrypoint
async def handler(payload):
    if payload.get("task"):
        work.start()
    return {"result": "ok", "n": 1}


if __name__ == "__main__":
    app.run()
