"""The real `@tool` of Strands over our decorator, with a scripted model in place of a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import TYPE_CHECKING, Any

import pytest
from strands import Agent, tool
from strands.models import Model

from outlast.core.state import TaskState

if TYPE_CHECKING:
    from tests.unit.tasks.conftest import World


class OneToolCall(Model):
    """Calls the tool once, then answers."""

    def __init__(self, tool_name: str) -> None:
        self.tool_name = tool_name

    def update_config(self, **model_config: Any) -> None:
        """Ignore it."""

    def get_config(self) -> Any:
        """Return nothing to configure."""
        return {}

    def structured_output(self, *args: Any, **kwargs: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Refuse."""
        raise NotImplementedError

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterable[Any]:
        """Ask for the tool when the user spoke last, say that it is done after the tool did."""
        answered = any("toolResult" in block for block in messages[-1]["content"])
        yield {"messageStart": {"role": "assistant"}}
        if answered:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": "done"}}}
        else:
            yield {"contentBlockStart": {"start": {"toolUse": {"name": self.tool_name, "toolUseId": "1"}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": '{"topic": "bees"}'}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn" if answered else "tool_use"}}


def ask(decorated: Any, name: str) -> str:
    """Have an agent use the tool; return what the tool gave."""
    agent = Agent(model=OneToolCall(name), tools=[decorated], callback_handler=None)
    agent("go")
    (result,) = [
        block["toolResult"] for message in agent.messages for block in message["content"] if "toolResult" in block
    ]
    assert result["status"] == "success", result
    return str(result["content"][0]["text"])


@pytest.mark.parametrize("blocked", [True, False])
def test_a_tool_over_an_async_task(world: World, blocked: bool) -> None:
    """`@tool` over `@async_task` on one function: the agent waits for it, also when its own loop stands still."""

    @tool
    @world.async_task
    async def study(topic: str) -> str:
        """Study a topic.

        Args:
            topic: What to study.
        """
        await asyncio.sleep(0)
        return f"studied {topic}"

    async def handler() -> str:
        return ask(study, "study")

    assert study.tool_spec["description"].startswith("Study a topic")
    assert list(study.tool_spec["inputSchema"]["json"]["properties"]) == ["topic"]
    assert (world.on_agent_loop(handler) if blocked else ask(study, "study")) == "studied bees"
    assert world.settle() == [TaskState.COMPLETED]


def test_a_tool_over_a_plain_task(world: World) -> None:
    """The same on a plain ``def``."""

    @tool
    @world.async_task
    def study(topic: str) -> str:
        """Study a topic."""
        return f"studied {topic}"

    assert ask(study, "study") == "studied bees"
    assert world.settle() == [TaskState.COMPLETED]


@pytest.mark.parametrize("how", ["create_task", "start"])
def test_a_tool_that_leaves_a_task_behind(world: World, how: str) -> None:
    """create_task in an async tool, which the original kills and logs as completed: the task runs to its end."""

    @world.async_task
    async def background_task(topic: str) -> str:
        await world.gate.passed()
        return f"studied {topic}"

    @tool
    async def study(topic: str) -> str:
        """Study a topic."""
        if how == "start":
            background_task.start(topic)
        else:
            asyncio.create_task(background_task(topic))  # noqa: RUF006  (what the seed document does)
        return "started"

    async def handler() -> str:
        return ask(study, "study")

    assert world.on_agent_loop(handler) == "started"
    assert world.the_task().state is TaskState.WORKING
    world.gate.open()
    assert world.settle() == [TaskState.COMPLETED]
    finish = world.ends[0][0].finish
    assert finish is not None
    assert finish.result == b'"studied bees"'
