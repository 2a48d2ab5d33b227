"""A slim base image where none can be pulled: the smallest system with Python, from where apt itself gets packages.

What it takes to reach the package registry from here (an authority's certificate, pip's configuration) goes into this
base image and nowhere else.
"""

from __future__ import annotations

import ast
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .engine import BUILD_PATIENCE, ROOT, Engine

NAME = "outlast-test-base"
_CA = "etc/ssl/certs/ca-certificates.crt"
#: What of pip's configuration means the same elsewhere.
_PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")
_PACKAGES = "python3,python3-venv,ca-certificates"
#: How apt reaches its mirrors.
_WAYS = ("Acquire::http::Proxy ", "Acquire::https::Proxy ", "Acquire::https::CaInfo ")


def make_base(engine: Engine) -> str:
    """Make the base image, from a system that an earlier run has kept where there is one; return its name."""
    system = f"{NAME}-system"
    engine.docker("import", str(_system()), system)
    with tempfile.TemporaryDirectory() as context:
        _write_machine_files(Path(context))
        Path(context, "Dockerfile").write_text(f"FROM {system}\nCOPY files /\n", "utf-8")
        engine.docker("build", "--network", "none", "--tag", NAME, context)
    return NAME


def _system() -> Path:
    """Return the file of the system; mmdebstrap makes it in half a minute."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    tar = ROOT / ".build" / f"image-base-{suite}.tar"
    if not tar.exists():
        tar.parent.mkdir(exist_ok=True)
        part = tar.with_name(f"part-{os.getpid()}-{tar.name}")
        options = [f"--aptopt={line}" for line in _lines("apt-config", "dump") if line.startswith(_WAYS)]
        options += ["--quiet", "--variant=minbase", f"--include={_PACKAGES}"]
        try:
            _lines("mmdebstrap", *options, suite, part, _mirror(suite))
            part.rename(tar)
        finally:
            part.unlink(missing_ok=True)
    return tar


def _mirror(suite: str) -> str:
    """Return the URL from which apt gets this release of the system."""
    targets = _lines("apt-get", "indextargets", "--format", "$(CODENAME) $(ORIGIN) $(REPO_URI)", "Created-By: Packages")
    origin = platform.freedesktop_os_release()["ID"]
    for target in targets:
        codename, label, url = target.split(" ", 2)
        if codename == suite and label.lower() == origin:
            return url
    raise AssertionError(f"apt has no source for {suite}: see /etc/apt/sources.list")


def _lines(*command: str | Path) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_PATIENCE)
    assert done.returncode == 0, f"{command[0]}: {done.returncode}\n{done.stderr}"
    return done.stdout.splitlines()


def _write_machine_files(context: Path) -> None:
    """Write the machine's bundle of authorities and its pip's configuration below ``files``."""
    configured = _pip_configuration()
    bundle = configured.get("cert") or os.environ.get("SSL_CERT_FILE") or f"/{_CA}"
    kept = {key: " ".join(url for url in value.split() if "file:" not in url) for key, value in configured.items()}
    lines = [f"{key} = {kept[key]}" for key in _PIP_KEYS if kept.get(key)]
    ca = context / "files" / _CA
    ca.parent.mkdir(parents=True)
    ca.write_bytes(Path(bundle).read_bytes())
    (context / "files" / "etc" / "pip.conf").write_text("\n".join(["[global]", f"cert = /{_CA}", *lines, ""]), "utf-8")


def _pip_configuration() -> dict[str, str]:
    """Return what pip has read from its files and variables; a variable wins, as it does for pip."""
    found: dict[str, str] = {}
    lines = _lines(sys.executable, "-m", "pip", "config", "list")
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        if match := re.fullmatch(r"(?:global|:env:|install|download)\.([a-z-]+)=(.*)", line):
            found[match[1]] = str(ast.literal_eval(match[2]))
    return found
