"""Configuration bundles: what is fetched, what of it is given, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from outlast.baggage import ConfigBundleRef
from outlast.compat.app import BedrockAgentCoreApp
from outlast.compat.config_bundles import MAX_KEPT, runtime_arn
from outlast.compat.context import BedrockAgentCoreContext as Context

RUNTIME = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/mine-a1b2c3d4"
BUNDLE = "arn:aws:bedrock-agentcore:us-east-1:123456789012:bundle/b-1"


@dataclass
class ControlPlane:
    """What the original's client asks, in memory."""

    components: Mapping[str, Any]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def get_configuration_bundle_version(self, *, bundleId: str, versionId: str) -> dict[str, Any]:
        """Return a version of a bundle."""
        self.asked.append((bundleId, versionId))
        return {"components": self.components}


@pytest.fixture
def runs_as(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as an endpoint of the runtime."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"service.name=a, cloud.resource_id={RUNTIME}/runtime-endpoint/D:D")


def app_with(components: Mapping[str, Any]) -> tuple[BedrockAgentCoreApp, ControlPlane]:
    """Return an app, the process's newest, and what it asks."""
    app, control_plane = BedrockAgentCoreApp(), ControlPlane(components)
    app._config_client = control_plane
    return app, control_plane


@pytest.mark.usefixtures("runs_as")
def test_a_request_gets_its_own_runtimes_configuration() -> None:
    """Of the components of the bundle that it names, that of the runtime that this process is; fetched once."""
    _, control_plane = app_with({RUNTIME: {"configuration": {"model": "m-1"}}, "another": {"configuration": {}}})
    Context.set_config_bundle_ref(ConfigBundleRef(BUNDLE, "2"))

    assert [Context.get_config_bundle() for _ in range(3)] == [{"model": "m-1"}] * 3
    assert control_plane.asked == [("b-1", "2")]


@pytest.mark.usefixtures("runs_as")
@pytest.mark.parametrize("components", [{}, {"another": {}}, {RUNTIME: {}}])
def test_a_bundle_without_the_runtime_is_empty(components: dict[str, Any]) -> None:
    """No component, another's only, or one without a configuration."""
    app, _ = app_with(components)

    assert app._resolve_bundle_config(ConfigBundleRef(BUNDLE, "2")) == {}


@pytest.mark.usefixtures("runs_as")
def test_each_version_is_kept_and_the_oldest_is_dropped() -> None:
    """Thirty versions are kept."""
    app, control_plane = app_with({})
    for version in range(MAX_KEPT + 1):
        app._resolve_bundle_config(ConfigBundleRef(BUNDLE, str(version)))
    app._resolve_bundle_config(ConfigBundleRef(BUNDLE, str(MAX_KEPT)))
    app._resolve_bundle_config(ConfigBundleRef(BUNDLE, "0"))

    assert control_plane.asked.count(("b-1", str(MAX_KEPT))) == 1
    assert control_plane.asked.count(("b-1", "0")) == 2


def test_what_the_fetch_raises_comes_through() -> None:
    """The program decides what to do without its configuration."""
    app, control_plane = app_with({})
    control_plane.components = property()  # type: ignore[assignment]
    app._config_client = object()

    with pytest.raises(AttributeError):
        app._resolve_bundle_config(ConfigBundleRef(BUNDLE, "2"))


def test_a_loader_of_the_programs_own_wins() -> None:
    """The original's private setters are honoured, and do what they say."""
    Context.set_config_bundle_ref(ConfigBundleRef(BUNDLE, "2"))
    Context._set_bundle_loader(lambda: {"model": "own"})
    assert Context.get_config_bundle() == {"model": "own"}
    Context._clear_bundle_loader()
    assert Context.get_config_bundle() == {}


@pytest.mark.parametrize(
    ("attributes", "arn"),
    [
        ("", None),
        ("service.name=a,deployment.environment=prod", None),
        (f"cloud.resource_id={RUNTIME}", RUNTIME),
        (f"a=1, cloud.resource_id={RUNTIME}/runtime-endpoint/DEFAULT ,b=2", RUNTIME),
    ],
)
def test_the_environment_names_the_runtime(monkeypatch: pytest.MonkeyPatch, attributes: str, arn: str | None) -> None:
    """The resource attributes of OpenTelemetry do, by the runtime's ARN or an endpoint's."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)

    assert runtime_arn() == arn
