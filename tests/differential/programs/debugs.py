"""An app with ``debug=True``, whose payloads may ask for actions."""

import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp(debug=True)
ids = []


@app.entrypoint
async def handler(payload):
    if payload.get("add"):
        ids.append(app.add_async_task(payload["add"]))
    if payload.get("complete"):
        return app.complete_async_task(ids.pop())
    if payload.get("fail"):
        raise ValueError(payload["fail"])
    return {"got": payload}


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
