"""A program for the original whose functions ask AgentCore Identity for a token, wherever they run."""

# mypy: ignore-errors
# mypy finds the original where it is installed, and nothing at all elsewhere.

from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp
from bedrock_agentcore.identity.auth import requires_access_token

app = BedrockAgentCoreApp()

needs_token = requires_access_token(provider_name="provider", scopes=["read"], auth_flow="M2M")


@needs_token
def read(where: str, access_token: str = "") -> str:
    """Return the token that a plain function is given."""
    return f"{where}: {access_token}"


@needs_token
async def read_async(where: str, access_token: str = "") -> str:
    """Return the token that an async function is given."""
    return f"{where}: {access_token}"


@app.async_task
def read_later() -> str:
    """Ask on a thread, after the answer."""
    return read("task on a thread")


@app.async_task
async def read_async_later() -> str:
    """Ask in a task on the agent's loop."""
    return await read_async("task on the loop")


@app.entrypoint
async def handler(payload: dict[str, Any]) -> dict[str, Any]:
    """Ask in the handler, and have two tasks ask."""
    tasks = [read_later.start(), read_async_later.start()]
    return {"read": [read("handler"), await read_async("async handler")], "tasks": tasks}


if __name__ == "__main__":
    app.run()
