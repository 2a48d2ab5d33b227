"""An agent as the starter toolkit's users write them: it answers in one piece, or in several."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bedrock_agentcore.runtime import BedrockAgentCoreApp, BedrockAgentCoreContext, RequestContext

app = BedrockAgentCoreApp()


@app.entrypoint
async def invoke(payload: dict[str, Any], context: RequestContext) -> Any:
    """Answer a prompt."""
    prompt = payload.get("prompt", payload.get("payload"))
    if payload.get("stream"):
        return words(str(prompt))
    return {
        "response": f"You said {prompt}",
        "session": context.session_id,
        "token": BedrockAgentCoreContext.get_workload_access_token(),
        "callback": BedrockAgentCoreContext.get_oauth2_callback_url(),
        "headers": context.request_headers,
    }


async def words(prompt: str) -> AsyncIterator[Any]:
    """Yield the words of a prompt, and an object at their end."""
    for word in prompt.split():
        yield word + " "
    yield {"done": True}


if __name__ == "__main__":
    app.run()
