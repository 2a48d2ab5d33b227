"""The manifests are what an API server takes, by its own schemas, with no field that it would drop."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest

from .manifests import BASE, FOLDER, OVERLAY, Json, build, files, read

#: From the first version in which `sleep` before a stop is on by default (KEP-3960) to the newest that is known here.
VERSIONS = ["1.30", kubernetes_validate.latest_version()]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_file_is_valid(version: str) -> None:
    """Strictly: an unknown field is an error."""
    assert len(files()) > 15
    for path in files():
        _validate(read(path), version, path)


@pytest.mark.parametrize("folder", [BASE, OVERLAY], ids=["base", "example"])
def test_what_kustomize_makes_is_valid(folder: Path) -> None:
    """Generated maps, names and images among it."""
    for manifest in build(folder):
        for version in VERSIONS:
            _validate(manifest, version, folder)


def test_a_wrong_manifest_is_found() -> None:
    """The check that is above would see a misspelled field."""
    manifest = read(BASE / "agent" / "service.yaml")
    manifest["spec"]["portz"] = manifest["spec"].pop("ports")

    with pytest.raises(kubernetes_validate.ValidationError, match="portz"):
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


def _validate(manifest: Json, version: str, where: Path) -> None:
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        place = ".".join(str(step) for step in error.path)
        pytest.fail(f"{where.relative_to(FOLDER)}, {manifest['kind']}, Kubernetes {version}: {place}: {error.message}")
