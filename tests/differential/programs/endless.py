"""Streams without an end, and says when a client's leaving has closed them."""

import asyncio
import os
import time

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


def numbers():
    try:
        number = 0
        while True:
            yield number
            number += 1
            time.sleep(0.01)
    finally:
        app.logger.info("closed")


async def async_numbers():
    try:
        number = 0
        while True:
            yield number
            number += 1
            await asyncio.sleep(0.01)
    finally:
        app.logger.info("closed")


async def silent():
    try:
        yield 0
        await asyncio.sleep(3600)
    finally:
        app.logger.info("closed")


@app.entrypoint
def handler(payload):
    return {"sync": numbers, "async": async_numbers, "silent": silent}[payload["kind"]]()


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
