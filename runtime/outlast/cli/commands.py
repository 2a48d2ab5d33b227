"""The commands of ``outlast``."""

from __future__ import annotations

from typing import Annotated

import typer

from outlast import __version__
from outlast.cli import health, host, run, sessions, settings, task_manager, tasks

commands = typer.Typer(
    name="outlast",
    no_args_is_help=True,
    # A program's errors are its own: they keep Python's traceback.
    pretty_exceptions_enable=False,
    # Plain help: in a panel of 80 columns the names of the variables would be cut off.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
commands.command("run")(run.run)
commands.command("host")(host.host)
commands.command("task-manager")(task_manager.task_manager)
commands.command("settings")(settings.settings)
commands.command("health")(health.health)
commands.command("compat-path")(run.print_compat_path)
commands.add_typer(tasks.commands, name="tasks")
commands.add_typer(sessions.commands, name="sessions")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"outlast {__version__}")
        raise typer.Exit


@commands.callback()
def outlast(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run agents whose work outlasts the request.

    Start with a program that defines an agent:  outlast run agent.py
    """
