"""An agent that does nothing, for outlast; it says when app.run() is called."""

import time

from outlast import App

app = App()


@app.entrypoint
async def handler(payload):
    return {"result": "ok", "n": 1}


if __name__ == "__main__":
    print(time.perf_counter(), flush=True)
    app.run()
