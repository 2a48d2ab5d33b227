"""The custom ping handler of the first document: the program says itself whether it is busy."""

from bedrock_agentcore.runtime import BedrockAgentCoreApp, PingStatus

app = BedrockAgentCoreApp()

busy = False


def system_busy():
    """Say what the last invocation asked for."""
    return busy


@app.ping
def custom_status():
    if system_busy():
        return PingStatus.HEALTHY_BUSY
    return PingStatus.HEALTHY


@app.entrypoint
def handler(payload):
    """Take `{"busy": true}` or `{"busy": false}`."""
    global busy
    busy = payload["busy"]
    return {"busy": busy}


if __name__ == "__main__":
    app.run()
