"""What `import outlast` gives and what it costs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

import pytest

import outlast

HEAVY = {
    "aiohttp",
    "attr",
    "cattrs",
    "google.protobuf",
    "grpc",
    "opentelemetry",
    "orjson",
    "pydantic",
    "structlog",
    "uvloop",
}


def run(program: str) -> str:
    """Run a program in a Python of its own; return what it prints."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_the_public_names_are_there() -> None:
    """Every name in `__all__` is loaded on its first use, is listed, and no other name is."""
    assert all(getattr(outlast, name).__name__ == name for name in outlast.__all__)
    assert set(outlast.__all__) <= set(dir(outlast))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = outlast.Nonsense  # type: ignore[attr-defined]


def test_an_app_loads_nothing_heavy() -> None:
    """Neither the package nor an App with tasks loads gRPC, HTTP, logging or settings libraries."""
    loaded = run(
        "import json, sys\n"
        "from outlast import App, current_task\n"
        "app = App()\n"
        "task = app.async_task(lambda: 1, name='one')\n"
        "task()\n"
        "print(json.dumps(sorted(sys.modules)))"
    )

    assert not HEAVY & set(json.loads(loaded))


def test_an_app_loads_of_the_domain_what_it_works_with() -> None:
    """Leases, policies and the lifecycle are the task manager's; each dataclass takes as long as a module."""
    loaded = run("import json, sys\nfrom outlast import App\nprint(json.dumps(sorted(sys.modules)))")

    managers = {f"outlast.core.{name}" for name in ("event", "lifecycle", "policy", "session", "worker")}
    assert not managers & set(json.loads(loaded))


def test_an_app_loads_of_the_standard_library_what_asyncio_needs_and_little_more() -> None:
    """What reads and writes JSON, say, comes with the first value that is to be written."""
    loaded = run("import sys\nfrom outlast import App\nApp()\nprint(*sys.modules)").split()

    assert not {"hashlib", "json", "pathlib", "urllib.parse"} & set(loaded)


@pytest.mark.parametrize("embedded", [True, False])
@pytest.mark.parametrize("listens", [True, False])
def test_an_agent_that_serves_has_loaded_what_it_uses(embedded: bool, listens: bool) -> None:
    """Neither the command line nor the session host; task manager and HTTP server only where they are its own."""
    modules = "outlastd.launch.agent" if listens else "outlastd.launch.asgi"
    if embedded:
        modules += ", outlastd.launch.manager"
    if listens:
        modules += ", outlastd.front_door.aiohttp_server"
    loaded = set(json.loads(run(f"import json, sys, {modules}\nprint(json.dumps(sorted(sys.modules)))")))

    assert "grpc.aio" in loaded
    assert ("aiohttp.web_server" in loaded) is ("aiohttp" in loaded) is listens
    assert not {"aiohttp.web", "typer"} & loaded
    assert not {name for name in loaded if name.startswith(("outlast.cli", "outlastd.session_host"))}
    assert ("sqlite3" in loaded) is ("outlastd.task_manager.server" in loaded) is embedded


@pytest.mark.parametrize("module", ["outlastd.launch.agent, outlastd.launch.manager", "outlastd.launch.host"])
def test_a_start_loads_no_pydantic(module: str) -> None:
    """Neither an agent's nor a session host's: it would be a sixth of an agent's start, and 9 MB for good."""
    loaded = json.loads(
        run(
            f"import json, sys, {module}\n"
            "from outlast.settings.model import load_settings\n"
            "load_settings()\n"
            "print(json.dumps(sorted(sys.modules)))"
        )
    )

    assert not {name for name in loaded if name.startswith("pydantic")}


def test_the_import_is_quick() -> None:
    """The package alone loads in a fraction of asyncio's time, and an App in less than twice as long again."""
    timed = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
    rounds = [
        [float(run(timed.format(what))) for what in ("import asyncio", "import outlast", "from outlast import App")]
        for _ in range(5)
    ]
    asyncio_seconds, package_seconds, app_seconds = (statistics.median(column) for column in zip(*rounds, strict=True))

    assert package_seconds < asyncio_seconds
    assert app_seconds < 3 * asyncio_seconds
