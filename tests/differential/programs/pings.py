"""A custom ping handler that gives or raises what payloads name, and the forced status."""

import asyncio
import enum
import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp, PingStatus

app = BedrockAgentCoreApp()


def raising():
    raise RuntimeError("no ping today")


class Own(enum.Enum):
    BUSY = "HealthyBusy"


PINGS = {
    "healthy": lambda: PingStatus.HEALTHY,
    "busy": lambda: PingStatus.HEALTHY_BUSY,
    "text healthy": lambda: "Healthy",
    "text busy": lambda: "HealthyBusy",
    "wrong text": lambda: "Unwell",
    "lower case": lambda: "healthy",
    "name": lambda: "HEALTHY_BUSY",
    "nothing": lambda: None,
    "raising": raising,
    "parameter": lambda needed: "Healthy",
}


async def in_time():
    await asyncio.sleep(0)
    return PingStatus.HEALTHY_BUSY


#: What the original makes an error of in every ping, and then says Healthy.
FAILING = {"number": lambda: 7, "true": lambda: True, "object": lambda: {"status": "Healthy"}}


@app.entrypoint
def handler(payload):
    if "ping" in payload:
        app.ping({**PINGS, **FAILING, "async": in_time, "own enum": lambda: Own.BUSY}[payload["ping"]])
    if "force" in payload:
        app.force_ping_status(PingStatus(payload["force"]))
    if "force text" in payload:
        app.force_ping_status(payload["force text"])
    if "clear" in payload:
        app.clear_forced_ping_status()
    if "current" in payload:
        return app.get_current_ping_status()


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
