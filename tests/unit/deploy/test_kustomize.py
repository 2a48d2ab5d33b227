"""What belongs together is put together, and nothing is left out or secret."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from .manifests import BASE, FOLDER, KUSTOMIZATION, OVERLAY, ROLES, Json, base, build, kustomizations, read, selected

README = (FOLDER / "README.md").read_text("utf-8")


@pytest.mark.parametrize("path", kustomizations(), ids=lambda path: path.parent.name)
def test_a_kustomization_lists_what_is_beside_it(path: Path) -> None:
    """A manifest that is not listed would never be applied."""
    folder = path.parent
    kustomization = read(path)
    listed = {name for name in kustomization["resources"] if not name.startswith("..")}
    listed |= {name for made in kustomization.get("configMapGenerator", ()) for name in _files_of(made)}

    assert listed == {entry.name for entry in folder.iterdir()} - {KUSTOMIZATION}


def test_one_image_is_all_there_is() -> None:
    """The roles are the same image, which the overlay names once."""
    assert {image for manifest in base() for image in _images(manifest)} == {"outlast"}

    (named,) = read(OVERLAY / KUSTOMIZATION)["images"]
    made = build(OVERLAY)

    assert named["name"] == "outlast"
    images = [image for manifest in made for image in _images(manifest)]
    assert images == [f"{named['newName']}:{named['newTag']}"] * len(ROLES)
    assert {each["metadata"]["namespace"] for each in made if each["kind"] != "Namespace"} == {"outlast"}


def test_no_secret_is_in_the_repository() -> None:
    """It is made by hand, with the keys of the README, or from files that git does not see."""
    assert [each for each in [*base(), *build(OVERLAY)] if each["kind"] == "Secret"] == []
    assert (FOLDER / ".gitignore").read_text() == "secrets/\n"


def test_a_change_of_settings_replaces_the_pods() -> None:
    """The maps have names that follow what is in them, and every role has that of everybody."""
    made = build(OVERLAY)
    maps = {each["metadata"]["name"]: each["data"] for each in made if each["kind"] == "ConfigMap"}
    (settings,) = (name for name in maps if name.startswith("outlast-settings-"))
    used = [source["configMapRef"]["name"] for each in made for source in _containers_field(each, "envFrom")]

    assert used == [settings] * len(ROLES)
    assert maps[settings]["OUTLAST_RETENTION"] == "7d"
    assert maps[settings]["OUTLAST_LEASE_TTL"] == "30s"


def test_traces_are_a_component(tmp_path: Path) -> None:
    """One line in an overlay switches them on for all roles, and opens the way."""
    made = build(_overlay(tmp_path, {"components": [_from(tmp_path, FOLDER / "components" / "traces")]}))

    (settings,) = (each["data"] for each in made if "settings" in each["metadata"]["name"])
    assert settings["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(":4317")
    assert "{trace_id}" in settings["OUTLAST_TRACE_URL"]
    assert "OUTLAST_LEASE_TTL" in settings
    assert "outlast-traces" in {each["metadata"]["name"] for each in made}


def test_a_role_can_be_left_out_as_the_page_says(tmp_path: Path) -> None:
    """All that is of the session host goes, and nothing else."""
    snippet, _ = _snippets()

    without = {_key(each) for each in build(_overlay(tmp_path, snippet))}
    everything = {_key(each) for each in build(BASE)}

    gone = everything - without
    assert len(gone) == 6
    assert {kind for kind, _ in gone} >= {"StatefulSet", "Service", "NetworkPolicy"}
    assert all("session-host" in name for _, name in gone)
    # The generated map of the configuration stays: it has no labels, and does no harm.
    assert {name for _, name in without if "session-host" in name} == {
        name for kind, name in everything if kind == "ConfigMap" and "session-host" in name
    }


def test_another_agent_can_be_added_as_the_page_says(tmp_path: Path) -> None:
    """It has names and selectors of its own, and neither takes the other's calls."""
    _, snippet = _snippets()
    second = tmp_path / "research"
    second.mkdir()
    snippet["resources"] = [_from(second, BASE / "agent")]
    (second / KUSTOMIZATION).write_text(yaml.safe_dump(snippet))

    made = build(_overlay(tmp_path, {}, "research"))

    agents = [each for each in made if each["kind"] == "Deployment" and "agent" in each["metadata"]["name"]]
    services = {each["metadata"]["name"]: each["spec"]["selector"] for each in made if each["kind"] == "Service"}
    assert [each["metadata"]["name"] for each in agents] == ["outlast-agent", "outlast-agent-research"]
    for agent, other in (agents, reversed(agents)):
        selector = services[agent["metadata"]["name"]].items()
        assert selector <= agent["spec"]["template"]["metadata"]["labels"].items()
        assert not selector <= other["spec"]["template"]["metadata"]["labels"].items()
    (policy,) = (each["spec"] for each in made if _key(each) == ("NetworkPolicy", "outlast-agent-research"))
    (peer,) = policy["egress"][0]["to"]
    assert policy["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "research"
    assert selected(peer["podSelector"]) == {"task-manager"}
    (container,) = agents[1]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["run", "/app/research.py"]
    assert {"name": "OUTLAST_AGENT", "value": "research"} in container["env"]
    assert [variable["name"] for variable in container["env"]].count("OUTLAST_AGENT") == 1


def _files_of(generator: Json) -> list[str]:
    return [*generator.get("files", ()), *generator.get("envs", ())]


def _containers_field(manifest: Json, field: str) -> list[Json]:
    template = manifest["spec"].get("template") if "spec" in manifest else None
    containers = template["spec"]["containers"] if template else []
    return [each for container in containers for each in container.get(field, ())]


def _images(manifest: Json) -> list[str]:
    template = manifest["spec"].get("template") if "spec" in manifest else None
    return [container["image"] for container in template["spec"]["containers"]] if template else []


def _key(manifest: Json) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _snippets() -> list[Json]:
    """Return the kustomizations that the page shows: one that leaves out, one that adds."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [parsed for block in blocks if "patches" in (parsed := yaml.safe_load(block))]


def _overlay(folder: Path, more: Json, *resources: str) -> Path:
    """Write a kustomization of the base and more; return its folder."""
    kustomization = {"resources": [_from(folder, BASE), *resources], **more}
    (folder / KUSTOMIZATION).write_text(yaml.safe_dump(kustomization))
    return folder


def _from(folder: Path, target: Path) -> str:
    """Return the relative path that kustomize wants."""
    return os.path.relpath(target, folder.resolve())
