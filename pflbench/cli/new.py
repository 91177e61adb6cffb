"""`pflbench new`: the beginnings of a plugin."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pflbench.cli.option_types import PathText
from pflbench.cli.session import debug_option

_ALGORITHM = """Write a method that works, with its test, ready to be changed into yours.

It is a separate distribution, with an entry point and a test that passes.

\b
[bold]Examples[/bold]
  pflbench new algorithm my-method
  pip install -e my-method && pflbench check my-method
"""


@click.group(short_help="Write the skeleton of a plugin.")
def new() -> None:
    """Write the skeleton of a plugin: a separate, working distribution with a test."""


@new.command(help=_ALGORITHM)
@click.argument("name")
@click.option(
    "--directory",
    type=PathText(folder=True),
    help="Folder to write into; it must be empty or not exist; default: ./NAME.",
)
@debug_option
def algorithm(name: str, directory: Path | None) -> None:
    """Write the files and print the next steps."""
    from pflbench.conformance.scaffold import write_algorithm
    from pflbench.errors import InputError
    from pflbench.schema.plugins import installed

    if name in installed().algorithms.entries:
        owner = installed().algorithms.owner(name)
        raise InputError(f"Algorithm {name!r} already exists, from the plugin {owner}.")
    folder = directory or Path(name)
    for path in write_algorithm(name, folder):
        click.echo(f"wrote {path}")
    click.echo(f"\nNext: pip install -e {folder} && pflbench check {name}")
