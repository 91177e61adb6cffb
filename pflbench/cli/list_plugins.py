"""`pflbench list`: all plugins, and which of them are broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from pflbench.cli.option_types import OneOf
from pflbench.cli.session import debug_option

if TYPE_CHECKING:
    from rich.table import Table

    from pflbench.schema.plugins import Registry, Shelf

KINDS = (
    "algorithms",
    "datasets",
    "partitioners",
    "populations",
    "models",
    "optimizers",
    "schedules",
    "participations",
    "metrics",
    "observers",
    "similarities",
)

_HELP = """List algorithms, data sets, partitioners, populations, models, and all else from plugins.

Everything comes from plugins; a plugin that cannot be used is listed with its error.

\b
[bold]Examples[/bold]
  pflbench list
  pflbench list algorithms
  pflbench list datasets partitioners
"""


@click.command("list", help=_HELP, short_help="List all plugins.")
@click.argument("kinds", nargs=-1, type=OneOf([*KINDS, "problems"]), metavar="[KIND]...")
@debug_option
def list_(kinds: tuple[str, ...]) -> None:
    """Print one table a kind, then the problems."""
    from pflbench.report.terminal.screen import show
    from pflbench.schema.plugins import installed

    registry = installed()
    for kind in KINDS:
        shelf: Shelf[Any] = getattr(registry, kind)
        if kind in kinds or (not kinds and shelf.entries):
            show(_shelf_table(kind, shelf) if shelf.entries else f"No {kind}.")
    if registry.problems or "problems" in kinds:
        _print_problems(registry)


def _shelf_table(kind: str, shelf: Shelf[Any]) -> Table:
    from pflbench.report.terminal.screen import literal, table

    made = table(kind.capitalize().replace("Datasets", "Data sets"), "What it is", "Plugin")
    for spec in shelf.specs():
        name = f"{spec.name}:PATH" if getattr(spec, "takes_path", False) else spec.name
        size = getattr(spec, "size", "")
        summary = f"{spec.summary} ({size})" if size else spec.summary
        made.add_row(literal(name), literal(summary), literal(shelf.owner(spec.name)))
    return made


def _print_problems(registry: Registry) -> None:
    from pflbench.report.terminal.screen import literal, show, table

    if not registry.problems:
        show("No problems: every plugin could be used.")
        return
    made = table("Cannot be used", "Why")
    for problem in registry.problems:
        made.add_row(f"[red]{literal(problem.plugin)}[/red]", literal(problem.message))
    show(made)
