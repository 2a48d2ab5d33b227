"""The table of metrics in docs/observability.md is the instruments that the code makes, by the names that they get."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.exporter.prometheus._mapping import map_unit, sanitize_full_name

ROOT = Path(__file__).parents[3]
#: What makes an instrument, and how its type is called in the table; its name is the first argument.
MAKERS = {
    "create_counter": "counter",
    "create_histogram": "histogram",
    "create_up_down_counter": "sum",
    "create_gauge": "gauge",
    "gauge": "gauge",
    "sum": "sum",
    "_seconds": "histogram",
}


def made() -> Iterator[str]:
    """Give the names of the instruments that the code makes."""
    for path in [*(ROOT / "runtime").rglob("*.py"), *(ROOT / "services").rglob("*.py")]:
        source = path.read_text()
        if "metering" not in source and "meter: Meter" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                parts = node.args if name in MAKERS else []
            else:  # a list of them, which a loop goes through
                parts = node.elts if isinstance(node, ast.Tuple) and len(node.elts) == 4 else []
            for part in parts[:2]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and "." in part.value:
                    yield part.value
                    break


def rows() -> list[list[str]]:
    """Return the cells of the table's rows."""
    text = (ROOT / "docs" / "observability.md").read_text()
    table = text.partition("\n| Metric | Prometheus |")[2].partition("\n\n")[0]
    return [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_the_table_has_every_instrument_once() -> None:
    """None is missing, and none is there that is not made any more."""
    assert sorted(row[0] for row in rows()) == sorted(set(made()))


def test_the_names_for_prometheus_are_those_that_it_gets() -> None:
    """They follow from name, type and unit."""
    for name, prometheus, kind, unit, *_ in rows():
        assert kind in MAKERS.values()
        parts = [sanitize_full_name(name), map_unit(unit), "total" if kind == "counter" else ""]
        assert prometheus == "_".join(part for part in parts if part), name
