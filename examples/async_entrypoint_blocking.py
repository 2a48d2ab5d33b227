"""An async entrypoint that calls the agent blocking, while its tools wait for tasks."""

import asyncio

from bedrock_agentcore.runtime import BedrockAgentCoreApp
from scripted_model import ScriptedModel, seconds
from strands import Agent, tool

app = BedrockAgentCoreApp()


@app.async_task
async def background_task(number: int = 1) -> str:
    await asyncio.sleep(seconds(10))
    return f"result {number}"


@tool
async def await_one() -> str:
    """Wait for one task."""
    return await background_task()


@tool
async def create_two() -> str:
    """Start two tasks and wait for neither."""
    for number in (1, 2):
        asyncio.create_task(background_task(number))
    return "started two"


@tool
async def gather_two() -> str:
    """Wait for two tasks that run side by side."""
    return ", ".join(await asyncio.gather(background_task(1), background_task(2)))


# The tool that the prompt names is called.
agent = Agent(model=ScriptedModel(), tools=[await_one, create_two, gather_two])  # Bedrock: drop model=


@app.entrypoint
async def handler(payload):
    return {"message": agent(payload["prompt"]).message}


if __name__ == "__main__":
    app.run()
