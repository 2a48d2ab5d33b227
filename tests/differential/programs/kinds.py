"""Handlers of every kind. The first payload says which one becomes the entrypoint, until ``/ping`` is asked."""

import asyncio
import functools
import json
import os

from bedrock_agentcore.runtime import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


def answer(payload, **seen):
    if isinstance(payload, dict) and "fail" in payload:
        raise ValueError(payload["fail"])
    return {"payload": payload, **seen}


def session_of(context):
    return getattr(context, "session_id", repr(context))


def function(payload):
    return answer(payload)


async def coroutine(payload):
    await asyncio.sleep(0)
    return answer(payload)


def generator(payload):
    yield "first"
    yield answer(payload)


async def async_generator(payload):
    yield "first"
    await asyncio.sleep(0)
    yield answer(payload)


def function_returning_generator(payload):
    return generator(payload)


def function_returning_async_generator(payload):
    return async_generator(payload)


async def coroutine_returning_generator(payload):
    return generator(payload)


async def coroutine_returning_async_generator(payload):
    return async_generator(payload)


def with_context(payload, context):
    return answer(payload, session=session_of(context))


async def coroutine_with_context(payload, context):
    return answer(payload, session=session_of(context))


def generator_with_context(payload, context):
    yield answer(payload, session=session_of(context))


async def async_generator_with_context(payload, context):
    yield answer(payload, session=session_of(context))


def context_with_default(payload, context=None):
    return answer(payload, session=session_of(context))


def context_first(context):
    return answer(context)


def context_third(payload, more="default", context=None):
    return answer(payload, more=more, session=session_of(context))


def context_second_of_three(payload, context, more="default"):
    return answer(payload, more=more, session=session_of(context))


def another_name(payload, ctx=None):
    return answer(payload, session=session_of(ctx))


def another_name_required(payload, ctx):
    return answer(payload, session=session_of(ctx))


def keyword_context(payload, *, context=None):
    return answer(payload, session=session_of(context))


def any_arguments(*args, **kwargs):
    return answer(args[0], arguments=len(args), keywords=sorted(kwargs))


def no_parameter():
    return "never"


def decorated_by(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


decorated = decorated_by(with_context)


class Agent:
    def method(self, payload):
        return answer(payload)

    def method_with_context(self, payload, context):
        return answer(payload, session=session_of(context))

    async def async_method(self, payload, context):
        return answer(payload, session=session_of(context))

    def generator_method(self, payload):
        yield answer(payload)

    async def async_generator_method(self, payload, context):
        yield answer(payload, session=session_of(context))

    @classmethod
    def class_method(cls, payload, context):
        return answer(payload, session=session_of(context))

    @staticmethod
    async def static_method(payload, context):
        return answer(payload, session=session_of(context))


class Callable:
    def __call__(self, payload, context):
        return answer(payload, session=session_of(context))


class AsyncCallable:
    async def __call__(self, payload):
        return answer(payload)


class GeneratorCallable:
    def __call__(self, payload):
        yield answer(payload)


class AsyncGeneratorCallable:
    async def __call__(self, payload, context):
        yield answer(payload, session=session_of(context))


class Made:
    def __init__(self, payload):
        self.payload = answer(payload)

    def __str__(self):
        return f"made of {json.dumps(self.payload)}"


def configured(setting, payload, context):
    return answer(payload, setting=setting, session=session_of(context))


async def async_configured(setting, payload):
    return answer(payload, setting=setting)


async def async_generator_configured(payload, context, setting):
    yield answer(payload, setting=setting, session=session_of(context))


agent = Agent()
KINDS = {
    "function": function,
    "coroutine": coroutine,
    "generator": generator,
    "async_generator": async_generator,
    "function_returning_generator": function_returning_generator,
    "function_returning_async_generator": function_returning_async_generator,
    "coroutine_returning_generator": coroutine_returning_generator,
    "coroutine_returning_async_generator": coroutine_returning_async_generator,
    "with_context": with_context,
    "coroutine_with_context": coroutine_with_context,
    "generator_with_context": generator_with_context,
    "async_generator_with_context": async_generator_with_context,
    "context_with_default": context_with_default,
    "context_first": context_first,
    "context_third": context_third,
    "context_second_of_three": context_second_of_three,
    "another_name": another_name,
    "keyword_context": keyword_context,
    "any_arguments": any_arguments,
    "decorated": decorated,
    "lambda": lambda payload: answer(payload),
    "lambda_with_context": lambda payload, context: answer(payload, session=session_of(context)),
    "lambda_of_coroutine": lambda payload: coroutine(payload),
    "method": agent.method,
    "method_with_context": agent.method_with_context,
    "async_method": agent.async_method,
    "generator_method": agent.generator_method,
    "async_generator_method": agent.async_generator_method,
    "class_method": Agent.class_method,
    "static_method": Agent.static_method,
    "callable": Callable(),
    "async_callable": AsyncCallable(),
    "generator_callable": GeneratorCallable(),
    "async_generator_callable": AsyncGeneratorCallable(),
    "class": Made,
    "partial": functools.partial(configured, "set"),
    "partial_of_partial": functools.partial(functools.partial(configured, "set")),
    "async_partial": functools.partial(async_configured, "set"),
    "async_generator_partial": functools.partial(async_generator_configured, setting="set"),
    "partial_of_method": functools.partial(agent.method),
    "partial_of_async_callable": functools.partial(AsyncCallable()),
    "another_name_required": another_name_required,
    "no_parameter": no_parameter,
    "builtin": len,
}


@app.entrypoint
def choose(payload):
    app.entrypoint(KINDS[payload["kind"]])


@app.ping
def begin_anew():
    app.entrypoint(choose)
    return "Healthy"


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), host="127.0.0.1", log_level="info")
