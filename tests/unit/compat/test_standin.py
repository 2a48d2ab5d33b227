"""The stand-in for bedrock_agentcore: what it offers, and what it has the real package serve."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from .program import Hiding, error_of, original, run


def test_programs_find_what_the_documents_import() -> None:
    """The names of the seed programs are outlast's own, and the same from every module."""
    done = run("""
import outlast.app
from bedrock_agentcore import BedrockAgentCoreApp, BedrockAgentCoreContext, PingStatus, RequestContext
from bedrock_agentcore.runtime import BedrockAgentCoreApp as Again, BedrockAgentCoreContext as ContextAgain
from bedrock_agentcore.runtime.app import BedrockAgentCoreApp as FromApp
from bedrock_agentcore.runtime.context import RequestContext as FromContext
from bedrock_agentcore.runtime.models import PingStatus as FromModels, SESSION_HEADER, is_forwardable_header
from bedrock_agentcore.runtime.utils import convert_complex_objects, is_valid_partition
assert issubclass(BedrockAgentCoreApp, outlast.app.App)
assert BedrockAgentCoreApp is Again is FromApp
assert (PingStatus, RequestContext, BedrockAgentCoreContext) == (FromModels, FromContext, ContextAgain)
assert SESSION_HEADER == "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
assert convert_complex_objects({1}) == [1] and is_valid_partition("aws") and not is_valid_partition("nowhere")
""")

    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_of_the_original_is_offered() -> None:
    """``__all__`` and ``dir()`` have what the original's have, and each name can be had."""
    program = """
import bedrock_agentcore, bedrock_agentcore.runtime as runtime
for module in (bedrock_agentcore, runtime):
    assert all(hasattr(module, name) for name in module.__all__)
print(bedrock_agentcore.__file__)
print(sorted(bedrock_agentcore.__all__), sorted(runtime.__all__))
print(set(dir(runtime)) >= set(runtime.__all__))
"""
    file, *ours = run(program).stdout.splitlines()
    original_file, names, _ = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.splitlines()

    assert file != original_file
    assert ours == [names, "True"]


def test_submodules_are_attributes_as_in_the_original() -> None:
    """``import bedrock_agentcore`` alone gives what it loads in the original."""
    done = run("""
import bedrock_agentcore
print(
    bedrock_agentcore.runtime.models.PingStatus.HEALTHY.value,
    bedrock_agentcore.runtime.shell.ShellFrame.__name__,
    bedrock_agentcore.runtime.tracing.BaggageSpanProcessor.__name__,
    bedrock_agentcore.runtime.utils.convert_complex_objects.__name__,
    bedrock_agentcore.config_bundle.ConfigBundleClient.__name__,
    bedrock_agentcore._utils.__name__,
)
""")

    expected = "Healthy ShellFrame BaggageSpanProcessor convert_complex_objects ConfigBundleClient "
    assert done.stdout == expected + "bedrock_agentcore._utils\n", done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "gateway",
        "identity.auth",
        "memory",
        "runtime.a2a",
        "runtime.ag_ui",
        "runtime.agent_core_runtime_client",
        "runtime.tracing",
        "services.identity",
        "tools",
    ],
)
def test_a_submodule_that_is_not_ours_is_the_real_packages(module: str) -> None:
    """It is loaded from where the package is installed, and has our runtime underneath."""
    done = run(f"""
import bedrock_agentcore.{module} as module
from outlast.compat.context import BedrockAgentCoreContext
from outlast.ping import PingStatus
for name, ours in (("BedrockAgentCoreContext", BedrockAgentCoreContext), ("PingStatus", PingStatus)):
    assert getattr(module, name, ours) is ours
print(module.__file__)
""")

    assert Path(done.stdout.strip()).is_relative_to(original()), done.stderr


def test_the_real_packages_own_init_does_not_run(tmp_path: Path) -> None:
    """``bedrock_agentcore.memory`` is the installed package's, ``bedrock_agentcore`` and ``runtime`` stay ours."""
    real = tmp_path / "bedrock_agentcore"
    (real / "runtime").mkdir(parents=True)
    (real / "__init__.py").write_text("raise AssertionError('the real package ran')")
    (real / "runtime" / "__init__.py").write_text("raise AssertionError('the real runtime ran')")
    (real / "runtime" / "later.py").write_text("from .models import PingStatus")
    (real / "memory.py").write_text("from bedrock_agentcore.runtime import PingStatus\nNAME = 'real'")

    done = run(
        """
from bedrock_agentcore import memory
from bedrock_agentcore.memory import NAME, PingStatus
from bedrock_agentcore.runtime import models, later
assert memory.NAME == NAME == "real"
print(PingStatus.__module__, models.PingStatus is PingStatus is later.PingStatus)
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

    assert error_of(done) == "ModuleNotFoundError: No module named 'something_that_is_not_installed'"


def test_an_extra_that_is_not_installed_is_the_real_packages_affair(tmp_path: Path) -> None:
    """With the package and without what one of its names needs, its own error comes through."""
    done = Hiding(tmp_path, "ag_ui").run("from bedrock_agentcore.runtime import AGUIApp; AGUIApp()")

    assert error_of(done).endswith('Install it with: pip install "bedrock-agentcore[ag-ui]"')


@pytest.mark.parametrize("submodule", ["", ".runtime", ".config_bundle"])
def test_a_name_that_nobody_has_is_an_attribute_error(submodule: str) -> None:
    """So ``hasattr`` answers, and ``from ... import`` fails as it does for any package."""
    module = f"bedrock_agentcore{submodule}"
    assert run(f"import {module} as module; print(hasattr(module, 'Nonsense'))").stdout == "False\n"
    assert error_of(run(f"import {module} as module; module.Nonsense")) == (
        f"AttributeError: module '{module}' has no attribute 'Nonsense'"
    )
    assert error_of(run(f"from {module} import Nonsense")).startswith("ImportError: cannot import name 'Nonsense'")


def test_the_installed_distribution_stays_as_it_is() -> None:
    """Nothing is installed under the name: importlib.metadata speaks of the real package."""
    program = "import bedrock_agentcore, importlib.metadata as metadata; print(metadata.version('bedrock-agentcore'))"

    assert run(program).stdout.strip() == version("bedrock-agentcore")
