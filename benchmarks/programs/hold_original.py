"""Holds tasks at work with the original SDK, tracked by hand: they are in a dict, and nowhere else."""

import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.entrypoint
async def handler(payload):
    for _ in range(payload["start"]):
        app.add_async_task("wait")
    return {"result": "ok"}


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
