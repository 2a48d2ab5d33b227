"""A program for the original that asks what is known of the request, in the handler and in a task on a thread."""

# mypy: ignore-errors
# mypy finds the original where it is installed, and nothing at all elsewhere.

from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp
from bedrock_agentcore.runtime import BedrockAgentCoreContext
from bedrock_agentcore.runtime.context import RequestContext

app = BedrockAgentCoreApp()


def known() -> dict[str, Any]:
    """Return what the context says."""
    context = BedrockAgentCoreContext
    return {
        "session": context.get_session_id(),
        "request": context.get_request_id(),
        "token": context.get_workload_access_token(),
        "callback": context.get_oauth2_callback_url(),
        "own": (context.get_request_headers() or {}).get("x-own"),
    }


@app.async_task
def on_a_thread() -> dict[str, Any]:
    """Ask on a thread that the runtime starts."""
    return known()


@app.entrypoint
def handler(payload: dict[str, Any], context: RequestContext) -> dict[str, Any]:
    """Ask in the handler, and start the task."""
    on_a_thread.start()
    return {"seen": known(), "context": [context.session_id, (context.request_headers or {}).get("x-own")]}


if __name__ == "__main__":
    app.run()
