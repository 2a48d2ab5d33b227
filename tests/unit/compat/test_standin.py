"""The stand-in for bedrock_agentcore: what it offers, what it says of the rest, and where it comes from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.compat import compat_path
from outlast.compat.context import BedrockAgentCoreContext
from outlast.context import Invocation, current_invocation


def run(program: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """Run a program with the stand-in first on its path, then ``path``."""
    python_path = os.pathsep.join(map(str, [compat_path(), *path]))
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": python_path},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_programs_find_what_the_documents_import() -> None:
    """The names of the seed programs are outlast's own."""
    done = run("""
import outlast.app
from bedrock_agentcore import BedrockAgentCoreApp, PingStatus, RequestContext
from bedrock_agentcore.runtime import BedrockAgentCoreApp as Again, BedrockAgentCoreContext
from bedrock_agentcore.runtime.app import BedrockAgentCoreApp as FromApp
from bedrock_agentcore.runtime.context import RequestContext as FromContext
from bedrock_agentcore.runtime.models import PingStatus as FromModels, SESSION_HEADER
assert issubclass(BedrockAgentCoreApp, outlast.app.App)
assert BedrockAgentCoreApp is Again is FromApp
assert (PingStatus, RequestContext) == (FromModels, FromContext)
assert SESSION_HEADER == "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
""")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "program",
    [
        "from bedrock_agentcore.runtime import serve_a2a",
        "import bedrock_agentcore.runtime; bedrock_agentcore.runtime.serve_a2a",
        "from bedrock_agentcore.runtime.models import serve_a2a",
    ],
)
def test_an_unknown_name_says_what_there_is(program: str) -> None:
    """The error is ours, names the missing name, and names what the stand-in offers."""
    done = run(program)

    message = done.stderr.splitlines()[-1]
    assert message.startswith("ImportError: outlast's stand-in for bedrock_agentcore.runtime")
    assert "has no 'serve_a2a'; it offers " in message
    assert "PingStatus" in message


def test_a_submodule_that_is_not_ours_comes_from_the_real_package(tmp_path: Path) -> None:
    """``bedrock_agentcore.memory`` is the installed package's, ``runtime`` stays ours."""
    real = tmp_path / "bedrock_agentcore"
    (real / "runtime").mkdir(parents=True)
    (real / "__init__.py").write_text("raise AssertionError('the real package ran')")
    (real / "runtime" / "__init__.py").write_text("raise AssertionError('the real runtime ran')")
    (real / "memory.py").write_text("from bedrock_agentcore.runtime import PingStatus\nNAME = 'real'")

    done = run(
        """
from bedrock_agentcore import memory
from bedrock_agentcore.memory import NAME, PingStatus
from bedrock_agentcore.runtime import models
assert memory.NAME == NAME == "real"
print(PingStatus.__module__, models.PingStatus is PingStatus)
""",
        tmp_path,
    )

    assert done.stdout == "outlast.ping True\n", done.stderr


def test_a_submodule_that_fails_to_load_says_why(tmp_path: Path) -> None:
    """What the real submodule lacks is not mistaken for a name that the stand-in lacks."""
    real = tmp_path / "bedrock_agentcore"
    real.mkdir()
    (real / "__init__.py").touch()
    (real / "memory.py").write_text("import something_that_is_not_installed")

    done = run("from bedrock_agentcore import memory", tmp_path)

    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'something_that_is_not_installed'"


def test_the_context_is_the_invocations() -> None:
    """The getters answer for the invocation that the caller runs for."""
    headers = {"x-custom": "1"}
    token = current_invocation.set(
        Invocation(
            "r-1",
            "s-1",
            credentials={"workloadaccesstoken": "old", "OAuth2CallbackUrl": "http://localhost/cb"},
            request_headers=headers,
        )
    )
    try:
        assert BedrockAgentCoreContext.get_request_id() == "r-1"
        assert BedrockAgentCoreContext.get_session_id() == "s-1"
        assert BedrockAgentCoreContext.get_workload_access_token() == "old"
        assert BedrockAgentCoreContext.get_oauth2_callback_url() == "http://localhost/cb"
        assert BedrockAgentCoreContext.get_request_headers() == headers
    finally:
        current_invocation.reset(token)


def test_outside_of_an_invocation_nothing_is_known() -> None:
    """Every getter answers None, as in the original."""
    getters = [name for name in dir(BedrockAgentCoreContext) if name.startswith("get_")]

    assert len(getters) == 5
    assert {getattr(BedrockAgentCoreContext, name)() for name in getters} == {None}


def test_the_newer_token_header_wins() -> None:
    """With both headers, Identity-WAT is the token (contract 1.5)."""
    credentials = {"WorkloadAccessToken": "old", "X-Amz-Bedrock-AgentCore-Identity-WAT": "new"}
    token = current_invocation.set(Invocation("r-1", credentials=credentials))
    try:
        assert BedrockAgentCoreContext.get_workload_access_token() == "new"
        assert BedrockAgentCoreContext.get_session_id() is None
    finally:
        current_invocation.reset(token)
