"""``outlast run`` and ``outlast compat-path``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from outlast.cli.options import set_variables
from outlast.compat import compat_path


def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The Python program that defines the agent.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGS", help="What the program finds in sys.argv, behind a --.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65_535, help="Port of the front door, 8080 by default. [OUTLAST_PORT, PORT]"
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address of the front door: 127.0.0.1 by default, 0.0.0.0 in a container. [OUTLAST_HOST]",
        ),
    ] = None,
    task_manager: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Use this task manager instead of an embedded one; replicas with commas between. "
            "[OUTLAST_TASK_MANAGER]",
        ),
    ] = None,
    task_manager_listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where the embedded task manager answers, 127.0.0.1:50051 by default. [OUTLAST_TASK_MANAGER_LISTEN]",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where tasks are kept, sqlite:///PATH or postgresql://USER@HOST:PORT/DATABASE; by default "
            ".outlast/AGENT.db beside FILE. [OUTLAST_STORE]",
        ),
    ] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="NAME", help="The agent name, by default FILE's own. [OUTLAST_AGENT]")
    ] = None,
) -> None:
    """Run the agent in FILE.

    FILE is a program that imports outlast, or one written for bedrock_agentcore: outlast stands in for that package.
    A program that defines one app and does not run it is run all the same. An option wins over its variable, which
    is named behind it.

    Examples:

    \b
      outlast run agent.py
      outlast run agent.py --port 9000 --store sqlite:///tasks.db
      outlast run agent.py -- --the-programs-own option
    """
    from outlast.cli.program import run_program

    set_variables(
        {
            "OUTLAST_PORT": port,
            "OUTLAST_HOST": host,
            "OUTLAST_TASK_MANAGER": task_manager,
            "OUTLAST_TASK_MANAGER_LISTEN": task_manager_listen,
            "OUTLAST_STORE": store,
            "OUTLAST_AGENT": agent,
        }
    )
    run_program(file, arguments or [])


def print_compat_path() -> None:
    """Print the folder that stands in for bedrock_agentcore.

    Put it first on the module search path to use it without outlast run:

    \b
      PYTHONPATH=$(outlast compat-path) python agent.py
    """
    typer.echo(compat_path())
