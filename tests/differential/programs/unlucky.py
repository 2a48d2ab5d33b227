"""A task that fails."""

import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.async_task
async def fails():
    raise ValueError("no paper")


@app.entrypoint
async def handler(payload):
    return await fails()


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
