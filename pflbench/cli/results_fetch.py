"""`pflbench results`: bringing stored runs of others into a results folder."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pflbench.cli.session import debug_option, warn
from pflbench.cli.shared_options import results_option

_FETCH = """Add the runs of a bundle to a results folder.

SOURCE is a bundle, a folder with one, or the http or https address of one. Its form, its checksums
and its summaries are checked as by pflbench verify before anything is written. Runs that are
complete in the results folder stay. A download that breaks off is continued by the same command.

\b
[bold]Examples[/bold]
  pflbench results fetch paper.zip
  pflbench results fetch https://example.org/paper.zip --sha256 9f86d081...
"""


@click.group(short_help="Fetch the runs of a bundle.")
def results() -> None:
    """Bring stored runs of others into a results folder."""


@results.command(help=_FETCH, short_help="Add the runs of a bundle to a results folder.")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--sha256", metavar="HEX", help="SHA-256 that the archive must have, as published with it."
)
@results_option
@debug_option
def fetch(source: str, sha256: str | None, results: Path) -> None:
    """Fetch the bundle, and say what is new."""
    from pflbench.report.terminal.screen import progress_console
    from pflbench.runs.fetching import fetch as fetched

    found = fetched(source, results, sha256=sha256, console=progress_console())
    stayed = f"; {len(found.present):,} were complete there" if found.present else ""
    warn(f"added {len(found.added):,} runs to {results}{stayed} (SHA-256 {found.sha256})")
    click.echo(found.bundle)
