"""The same agent for the original SDK: PORT says where."""

import os
import time

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.entrypoint
async def handler(payload):
    return {"result": "ok", "n": 1}


if __name__ == "__main__":
    print(time.perf_counter(), flush=True)
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
