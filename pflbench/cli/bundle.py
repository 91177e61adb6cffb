"""`pflbench bundle`: stored runs in one archive, which others can check."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pflbench.cli.option_types import PathText, listed
from pflbench.cli.session import debug_option, warn
from pflbench.cli.shared_options import boards_options, data_options, results_option
from pflbench.errors import InputError

_HELP = """Pack complete runs into one archive, which others can check with pflbench verify.

It has the tables, summaries and identities of the runs with a checksum for each file, and no
personal models, no paths of this machine and no host names. The same runs make the same bytes.

\b
[bold]Examples[/bold]
  pflbench bundle results.zip
  pflbench bundle paper.zip --matrix paper.toml
  pflbench bundle mnist.zip --dataset mnist
"""


@click.command(help=_HELP, short_help="Pack runs into an archive that others can check.")
@click.argument("file", metavar="FILE", type=PathText(folder=False))
@click.option(
    "--matrix",
    metavar="FILE",
    type=PathText(folder=False),
    help="Exactly the cells of a TOML file, all of which must be complete.",
)
@results_option
@boards_options
@data_options
@debug_option
def bundle(
    file: Path,
    results: Path,
    matrix: Path | None,
    scenarios: tuple[str, ...],
    datasets: tuple[str, ...],
    data_dir: Path | None,
    no_fallback: bool,
) -> None:
    """Select the runs and pack them."""
    if matrix is not None and (scenarios or datasets):
        raise InputError("--matrix says which runs are packed: leave --scenario and --dataset out.")
    from pflbench.analysis import leaderboard
    from pflbench.report.terminal.screen import waiting
    from pflbench.report.terminal.units import size
    from pflbench.results import Store
    from pflbench.results.bundles import pack

    with waiting("packing"):
        if matrix is None:
            boards = leaderboard(
                results,
                scenarios=listed(scenarios, "--scenario"),
                datasets=listed(datasets, "--dataset"),
            )
        else:
            from pflbench.experiments.matrix_tables import matrix_boards

            fallback = not no_fallback
            boards = matrix_boards(results, matrix, data_dir=data_dir, fallback=fallback).boards
        ids = {run_id for board in boards for row in board.rows for run_id in row.run_ids.values()}
        runs = [run for run in Store(results).runs() if run.id in ids]
        complete = [run for run in runs if run.status == "complete"]
        made = pack(complete, file)
    for run in runs:
        if run.status != "complete":
            warn(f"left out: run {run.id}, which is {run.status}")
    warn(f"wrote {file} ({len(made.runs):,} runs, {size(file.stat().st_size)})")
    click.echo(made.id)
