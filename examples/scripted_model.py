"""A model that follows a script, so that the examples run without network and without credentials.

It stands where Amazon Bedrock stands in a real agent: asked by a user it calls one tool, once; given the tool's
result it answers with that result. It keeps nothing between calls.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel
from strands.models import Model
from strands.types.content import Message, Messages
from strands.types.streaming import StreamEvent
from strands.types.tools import ToolSpec

T = TypeVar("T", bound=BaseModel)


def seconds(default: float) -> float:
    """Return how long an example's pretended work takes; EXAMPLE_SECONDS makes it shorter, for tests."""
    return float(os.environ.get("EXAMPLE_SECONDS", default))


class ScriptedModel(Model):
    """Calls the tool that the prompt names, or else the first one, with ``tool_input``; then repeats its result."""

    def __init__(self, tool_input: dict[str, Any] | None = None) -> None:
        self._tool_input = tool_input or {}
        caller = sys._getframe(1)
        print(
            "The model of this example is scripted. For a real one, remove `model=...` from "
            f"{Path(caller.f_code.co_filename).name}, line {caller.f_lineno}.",
            flush=True,
        )

    async def stream(
        self, messages: Messages, tool_specs: list[ToolSpec] | None = None, *args: Any, **kwargs: Any
    ) -> AsyncIterable[StreamEvent]:
        """Answer the last message: a call of a tool to a user, the tool's result to a tool."""
        yield {"messageStart": {"role": "assistant"}}
        result = _tool_result(messages[-1])
        if result is None and tool_specs:
            tool = _chosen_tool(messages[-1], tool_specs)
            call_id = f"tooluse_{uuid4().hex[:12]}"
            yield {"contentBlockStart": {"start": {"toolUse": {"name": tool["name"], "toolUseId": call_id}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(self._tool_input)}}}}
            yield {"contentBlockStop": {}}
            yield {"messageStop": {"stopReason": "tool_use"}}
        else:
            yield {"contentBlockDelta": {"delta": {"text": result or "There is no tool to call."}}}
            yield {"contentBlockStop": {}}
            yield {"messageStop": {"stopReason": "end_turn"}}

    def update_config(self, **model_config: Any) -> None:
        """Do nothing: a script has no settings."""

    def get_config(self) -> dict[str, Any]:
        """Return no settings."""
        return {}

    def structured_output(
        self, output_model: type[T], prompt: Messages, system_prompt: str | None = None, **kwargs: Any
    ) -> AsyncGenerator[dict[str, T | Any], None]:
        """Refuse: no example asks for structured output."""
        raise NotImplementedError("the scripted model gives no structured output")


def _tool_result(message: Message) -> str | None:
    """Return what the tool said, when the message carries the result of one."""
    for block in message["content"]:
        if "toolResult" in block:
            texts = [str(item.get("text", item.get("json", ""))) for item in block["toolResult"]["content"]]
            return " ".join(texts) or "The tool returned nothing."
    return None


def _chosen_tool(message: Message, tool_specs: list[ToolSpec]) -> ToolSpec:
    """Return the tool that the message names, or else the first."""
    prompt = " ".join(block.get("text", "") for block in message["content"])
    return next((spec for spec in tool_specs if spec["name"] in prompt), tool_specs[0])
