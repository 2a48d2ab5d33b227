"""A custom ping handler that is an async def and returns the status as a string."""

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()

busy = False


@app.ping
async def custom_status():
    return "HealthyBusy" if busy else "Healthy"


@app.entrypoint
async def handler(payload):
    """Take `{"busy": true}` or `{"busy": false}`."""
    global busy
    busy = payload["busy"]
    return {"busy": busy}


if __name__ == "__main__":
    app.run()
