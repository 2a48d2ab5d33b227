"""What tests have to know of the programs: which cases they have."""

from __future__ import annotations

import ast

from .pair import PROGRAMS


def names_in(program: str, table: str) -> list[str]:
    """Return the keys of a dict at the top of a program, which is read and not run."""
    tree = ast.parse((PROGRAMS / program).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table and isinstance(node.value, ast.Dict):
            return [ast.literal_eval(key) for key in node.value.keys if key is not None]
    raise LookupError(f"{program} has no dict {table}")
