"""Logs through the app's own logger, in every way that a handler may."""

import asyncio
import logging
import os
import threading

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


class Mute:
    def __str__(self):
        raise RuntimeError("says nothing")


def failed():
    try:
        {}["missing"]
    except KeyError:
        app.logger.exception("failed with %s", "a text")


def in_thread():
    thread = threading.Thread(target=app.logger.info, args=("from a thread",))
    thread.start()
    thread.join()


LOGS = {
    "info": lambda: app.logger.info("plain"),
    "arguments": lambda: app.logger.warning("%s of %d: %r", "one", 2, {"a": "ü"}),
    "named arguments": lambda: app.logger.error("%(a)s", {"a": 1}),
    "percent": lambda: app.logger.info("100%"),
    "object": lambda: app.logger.info({"a": [1, "ü"]}),
    "none": lambda: app.logger.info(None),
    "lines": lambda: app.logger.info('one\ntwo "quoted" \\ \x1b[31m \u2028'),
    "surrogate": lambda: app.logger.info("half \ud83d"),
    "debug": lambda: app.logger.debug("not shown"),
    "critical": lambda: app.logger.critical("worst"),
    "level": lambda: app.logger.log(35, "of a level of its own"),
    "extra": lambda: app.logger.info("with more", extra={"customer": "c", "taskId": "t"}),
    "exception": failed,
    "no exception": lambda: app.logger.info("nothing went wrong", exc_info=False),
    "exception given": lambda: app.logger.info("given", exc_info=ValueError("not raised")),
    "stack": lambda: app.logger.info("with stack", stack_info=True),
    "by name": lambda: logging.getLogger("bedrock_agentcore.app").info("the same logger"),
    "child": lambda: logging.getLogger("bedrock_agentcore.app.child").info("goes up to it"),
    "other": lambda: logging.getLogger("elsewhere").warning("not ours"),
    "thread": in_thread,
    "long": lambda: app.logger.info("x" * 5000),
}


@app.entrypoint
async def handler(payload):
    log = LOGS[payload["log"]]
    if payload["where"] == "thread":
        await asyncio.to_thread(log)
    else:
        log()


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
