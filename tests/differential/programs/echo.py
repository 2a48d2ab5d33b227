"""Answers with what it sees of the request, or streams the items that it is sent."""

import asyncio
import json
import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp, BedrockAgentCoreContext

app = BedrockAgentCoreApp()


def seen(payload, context):
    ref = BedrockAgentCoreContext.get_config_bundle_ref()
    return {
        "payload": payload,
        "session": context.session_id,
        "headers": context.request_headers,
        "context": {
            "request_id": BedrockAgentCoreContext.get_request_id(),
            "session_id": BedrockAgentCoreContext.get_session_id(),
            "headers": BedrockAgentCoreContext.get_request_headers(),
            "token": BedrockAgentCoreContext.get_workload_access_token(),
            "callback": BedrockAgentCoreContext.get_oauth2_callback_url(),
            "experiment": [
                BedrockAgentCoreContext.get_routing_experiment_arn(),
                BedrockAgentCoreContext.get_routing_experiment_variant(),
            ],
            "bundle": [ref.bundle_id, ref.bundle_version] if ref else None,
        },
    }


@app.entrypoint
async def handler(payload, context):
    how = payload.get("how") if isinstance(payload, dict) else None
    if how == "items":
        return items(payload["items"])
    if how == "async items":
        return async_items(payload["items"])
    if how == "text":
        return payload["text"]
    if how == "task":
        return await asyncio.create_task(later(payload, context))
    if how == "thread":
        return await asyncio.to_thread(seen, payload, context)
    if how == "request":
        return of_request(context.request)
    if how == "body":
        return {"json": await context.request.json(), "body": (await context.request.body()).decode()}
    return seen(payload, context)


def items(values):
    yield from values


async def async_items(values):
    for value in values:
        yield value


async def later(payload, context):
    await asyncio.sleep(0)
    return seen(payload, context)


def of_request(request):
    return {
        "method": request.method,
        "path": request.url.path,
        "query": str(request.url.query),
        "parameters": request.query_params.multi_items(),
        "headers": sorted((name, value) for name, value in request.headers.items() if name != "host"),
        "all": request.headers.getlist("x-twice"),
        "lookup": request.headers.get("X-ONE"),
        "cookies": request.cookies,
        "state": json.dumps(dict(request.state._state)),
        "scope": [request.scope["type"], request.scope["method"], request.scope["path"]],
    }


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
