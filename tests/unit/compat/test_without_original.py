"""The stand-in where the real package is not installed: the runtime is complete, and the rest says what to install."""

from __future__ import annotations

import pytest

from .program import Hiding, error_of

CURE = "outlast provides the runtime of an agent, and the rest is the original's: pip install bedrock-agentcore"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Hiding:
    """Give an environment with neither the real package nor Starlette."""
    return Hiding(tmp_path_factory.mktemp("alone"), "bedrock_agentcore", "starlette")


@pytest.mark.parametrize(
    ("program", "missing"),
    [
        ("import bedrock_agentcore.memory", "bedrock_agentcore.memory"),
        ("from bedrock_agentcore import memory", "bedrock_agentcore.memory"),
        ("from bedrock_agentcore.memory import MemoryClient", "bedrock_agentcore.memory"),
        ("from bedrock_agentcore.identity.auth import requires_access_token", "bedrock_agentcore.identity"),
        (
            "from bedrock_agentcore.runtime import AgentCoreRuntimeClient",
            "bedrock_agentcore.runtime.AgentCoreRuntimeClient",
        ),
        ("from bedrock_agentcore.runtime import serve_a2a", "bedrock_agentcore.runtime.serve_a2a"),
        ("import bedrock_agentcore.runtime.a2a", "bedrock_agentcore.runtime.a2a"),
        ("from bedrock_agentcore.config_bundle import ConfigBundleClient", "bedrock_agentcore.config_bundle.Con"),
    ],
)
def test_what_is_missing_says_what_to_install(alone: Hiding, program: str, missing: str) -> None:
    """However a program imports it, it gets an ImportError with the cure."""
    error = error_of(alone.run(program))

    assert error.startswith(f"ModuleNotFoundError: No module named '{missing}")
    assert error.endswith(CURE)


def test_what_is_missing_can_be_looked_for(alone: Hiding) -> None:
    """``hasattr``, ``except ImportError`` and ``find_spec`` tell that the package is not there."""
    done = alone.run("""
import importlib.util
import bedrock_agentcore.runtime as runtime
assert not hasattr(runtime, "AgentCoreRuntimeClient")
assert "AgentCoreRuntimeClient" not in dir(runtime)
try:
    from bedrock_agentcore.memory import MemoryClient
except ModuleNotFoundError as error:
    assert error.name == "bedrock_agentcore"
try:
    importlib.util.find_spec("bedrock_agentcore.memory")
except ModuleNotFoundError:
    print("looked for")
""")

    assert done.stdout == "looked for\n", done.stderr


def test_an_attribute_that_is_missing_says_what_to_install(alone: Hiding) -> None:
    """A name of the original's that is asked for as an attribute names the cure too."""
    error = error_of(alone.run("import bedrock_agentcore.runtime; bedrock_agentcore.runtime.serve_a2a"))

    assert error == f"AttributeError: module 'bedrock_agentcore.runtime' has no attribute 'serve_a2a': {CURE}"


def test_all_names_there_are_can_be_imported_at_once(alone: Hiding) -> None:
    """``import *`` gives the names of an agent process."""
    done = alone.run("""
from bedrock_agentcore import *
from bedrock_agentcore.runtime import *
from bedrock_agentcore.runtime.models import *
print(BedrockAgentCoreApp.__name__, BedrockAgentCoreContext.__name__, RequestContext().session_id, PingStatus.HEALTHY)
""")

    assert done.stdout == "BedrockAgentCoreApp BedrockAgentCoreContext None PingStatus.HEALTHY\n", done.stderr


def test_a_handler_gets_the_front_doors_own_request(alone: Hiding) -> None:
    """Without Starlette ``context.request`` is what the front door has."""
    done = alone.run("""
from types import SimpleNamespace
from bedrock_agentcore import BedrockAgentCoreApp, RequestContext
request = SimpleNamespace(scope={"type": "http"}, body=b"{}")
context = BedrockAgentCoreApp().make_context("s-1", {"x-own": "1"}, request)
assert isinstance(context, RequestContext) and context.request is request
print(context.session_id, context.request_headers)
""")

    assert done.stdout == "s-1 {'x-own': '1'}\n", done.stderr


def test_a_configuration_bundle_needs_the_original(alone: Hiding) -> None:
    """A request that names one gets an ImportError with the cure when the program asks for it; others get {}."""
    done = alone.run("""
from bedrock_agentcore.config_bundle import ConfigBundleRef
from bedrock_agentcore.runtime import BedrockAgentCoreContext
assert BedrockAgentCoreContext.get_config_bundle() == {}
BedrockAgentCoreContext.set_config_bundle_ref(ConfigBundleRef("arn:bundle/b-1", "2"))
BedrockAgentCoreContext.get_config_bundle()
""")

    assert error_of(done).endswith(CURE)


def test_nothing_is_installed_under_the_name(alone: Hiding) -> None:
    """importlib.metadata knows of no such distribution."""
    error = error_of(alone.run("import bedrock_agentcore, importlib.metadata as m; m.version('bedrock-agentcore')"))

    assert error.startswith("importlib.metadata.PackageNotFoundError")


def test_the_stand_in_loads_no_server(alone: Hiding) -> None:
    """Importing it costs neither gRPC nor aiohttp: those come with ``run``."""
    done = alone.run("""
import sys
from bedrock_agentcore import BedrockAgentCoreApp
app = BedrockAgentCoreApp()
print({"aiohttp", "grpc", "google.protobuf"} & set(sys.modules))
""")

    assert done.stdout == "set()\n", done.stderr
