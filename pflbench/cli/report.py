"""`pflbench report`: everything that the results say, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import rich_click as click

from pflbench.cli.option_types import PathText
from pflbench.cli.session import debug_option, warn
from pflbench.cli.shared_options import boards_options, results_option, stage_option
from pflbench.errors import InputError

_TITLE = "Benchmark of personalized federated learning"

_HELP = """Write a report: one HTML file that needs no network.

Sortable leaderboards, learning curves, clients that gain or lose, costs, and the commands
that repeat it all, one section per scenario.

\b
[bold]Examples[/bold]
  pflbench report
  pflbench report --dataset mnist --out mnist.html
  pflbench report --stage global --out global.html
  pflbench report --results results/published --title "Turned digits"
"""


@click.command(help=_HELP, short_help="Write all results into one HTML file.")
@results_option
@click.option(
    "--out",
    metavar="FILE",
    type=PathText(folder=False),
    default=Path("report.html"),
    show_default=True,
    help="Where to.",
)
@click.option("--title", metavar="TEXT", default=_TITLE, show_default=True, help="Of the page.")
@stage_option
@boards_options
@debug_option
def report(
    results: Path,
    out: Path,
    title: str,
    stage: Literal["personal", "global"],
    scenarios: tuple[str, ...],
    datasets: tuple[str, ...],
) -> None:
    """Select the boards, and write the page of them."""
    if not out.absolute().parent.is_dir():
        raise InputError(
            f"Folder {str(out.parent)!r} does not exist: expected a folder to write the report in."
        )
    from pflbench.cli.show_run import select_boards
    from pflbench.report.html import check_packages, render
    from pflbench.report.html import report as record
    from pflbench.report.terminal.screen import waiting
    from pflbench.report.terminal.units import size
    from pflbench.results import Store
    from pflbench.results.files import write_file

    with waiting("writing the report"):
        check_packages()
        boards = select_boards(results, scenarios, datasets, stage=stage)
        page = render(record(boards, Store(results), title=title)).encode("utf-8", "replace")
        write_file(out, lambda part: part.write_bytes(page))
    warn(f"wrote {out} ({size(len(page))}): open it in a browser")
