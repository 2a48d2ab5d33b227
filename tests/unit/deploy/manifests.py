"""The manifests of deploy/kubernetes: as files, and as kustomize puts them together."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
BASE, OVERLAY = FOLDER / "base", FOLDER / "overlays" / "example"
KUSTOMIZATION = "kustomization.yaml"
ROLES = ("agent", "task-manager", "session-host")

#: A manifest, or a part of one.
Json = dict[str, Any]


def files(folder: Path = FOLDER) -> list[Path]:
    """Return the files of all manifests below a folder."""
    return sorted(path for path in folder.rglob("*.yaml") if path.name != KUSTOMIZATION)


def kustomizations() -> list[Path]:
    """Return the files that say what belongs together."""
    return sorted(FOLDER.rglob(KUSTOMIZATION))


def read(path: Path) -> Json:
    """Return what stands in a file."""
    content = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


@cache
def base() -> tuple[Json, ...]:
    """Return all manifests of the base, as they stand in their files."""
    return tuple(read(path) for path in files(BASE))


def of_kind(*kinds: str) -> list[Json]:
    """Return the manifests of the base that are of some kinds."""
    return [manifest for manifest in base() if manifest["kind"] in kinds]


def workload(role: str) -> Json:
    """Return what makes the pods of a role."""
    (found,) = (each for each in of_kind("Deployment", "StatefulSet") if _component(each) == role)
    return found


def pod(role: str) -> Json:
    """Return the spec of a role's pods."""
    spec = workload(role)["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def container(role: str) -> Json:
    """Return the one container of a role's pods."""
    (only,) = pod(role)["containers"]
    assert isinstance(only, dict)
    return only


def environment(role: str) -> dict[str, str]:
    """Return the variables of a role's container that have a value of their own, without those of everybody."""
    return {variable["name"]: variable["value"] for variable in container(role)["env"] if "value" in variable}


def labels(role: str) -> dict[str, str]:
    """Return the labels of a role's pods."""
    found = workload(role)["spec"]["template"]["metadata"]["labels"]
    assert isinstance(found, dict)
    return found


def shared() -> dict[str, str]:
    """Return the variables that all roles have."""
    lines = (BASE / "settings.env").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def selected(selector: Json) -> set[str]:
    """Return the roles whose pods a selector selects."""
    return {role for role in ROLES if selects(selector, labels(role))}


def selects(selector: Json, of_pod: dict[str, str]) -> bool:
    """Tell whether a selector selects pods with some labels."""
    assert selector
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In"
        if of_pod.get(expression["key"]) not in expression["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= of_pod.items())


def build(folder: Path) -> list[Json]:
    """Return what kustomize makes of a folder; where there is no kubectl the test is skipped, and says so."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl on this machine to run kustomize with")
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _component(manifest: Json) -> str:
    return str(manifest["metadata"]["labels"].get("app.kubernetes.io/component", ""))
