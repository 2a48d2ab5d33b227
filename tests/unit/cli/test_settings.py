"""``outlast settings``: what a process started here would go by."""

from __future__ import annotations

import json
from pathlib import Path

from .command import outlast


async def test_each_setting_has_its_value_and_where_it_comes_from(tmp_path: Path) -> None:
    """Variables, a file that stands for one, and defaults are told apart; a program names agent and store."""
    secret = tmp_path / "store"
    secret.write_text("postgresql://me:s3cret@db/tasks?password=s3cret\n")
    done = await outlast(
        *("settings", "agent.py", "--json"),
        cwd=tmp_path,
        PORT="9000",
        OUTLAST_STORE_FILE=str(secret),
        OUTLAST_RETENTION="14d",
        OUTLAST_TOKEN="s3cret",
        OTEL_EXPORTER_OTLP_HEADERS="key=s3cret",
        OUTLAST_RETENTON="s3cret",
    )
    assert done.code == 0
    found = {entry["variable"]: (entry["value"], entry["source"]) for entry in json.loads(done.out)}
    assert {
        "OUTLAST_AGENT": ("agent", "default"),
        "OUTLAST_PORT": ("9000", "PORT"),
        "OUTLAST_STORE": ("postgresql://me:***@db/tasks?password=***", "OUTLAST_STORE_FILE"),
        "OUTLAST_RETENTION": ("14d", "OUTLAST_RETENTION"),
        "OUTLAST_TOKEN": ("***", "OUTLAST_TOKEN"),
        "OUTLAST_WORKER_TOKEN": ("none", "default"),
        "OTEL_EXPORTER_OTLP_HEADERS": ("***", "environment"),
    }.items() <= found.items()
    assert "s3cret" not in done.out + done.err
    assert done.err == "outlast: OUTLAST_RETENTON is no setting: did you mean OUTLAST_RETENTION?\n"


async def test_without_a_program_nothing_is_made_up() -> None:
    """The table says what agent and store hang on, and what cannot be taken is one line."""
    done = await outlast("settings")
    assert "the stem of the program's file" in done.out
    assert ".outlast/AGENT.db beside the program" in done.out

    refused = await outlast("settings", OUTLAST_PORT="tcp://10.0.0.1:8080")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("outlast: OUTLAST_PORT: Kubernetes has set it for a Service of that name; ")
