"""`pflbench status`: which cells are done, running, failed, unfinished or missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from pflbench.cli.scenario_options import asks, cells_options, take_matrix
from pflbench.cli.session import debug_option
from pflbench.cli.shared_options import data_options, form_option, results_option

_HELP = """Say which cells are done, running, failed, unfinished or missing.

The cells are selected as for [cyan]pflbench run[/cyan]; without these options, all runs of the
results folder are shown.

\b
[bold]Examples[/bold]
  pflbench status
  pflbench status --matrix paper.toml
  pflbench status --algo local,fedavg --dataset mnist --seed 0,1,2
  pflbench status --matrix paper.toml --format json
"""


@click.command(help=_HELP, short_help="Say which cells are done, running, failed or missing.")
@cells_options()
@click.option_panel("Data", options=["--data-dir", "--no-fallback"])
@click.option_panel("Results and output", options=["--results", "--format", "--debug", "--help"])
@data_options
@results_option
@form_option("A table with counts over seeds, or all cells for scripts.")
@debug_option
@click.pass_context
def status(
    ctx: click.Context,
    /,
    *,
    results: Path,
    form: str,
    data_dir: Path | None,
    no_fallback: bool,
    **options: Any,
) -> None:
    """Look the cells up and print their states."""
    from pflbench.report.terminal.screen import waiting

    found = {}
    with waiting("reading"):
        from pflbench.cli.status_table import print_status, tell_notices
        from pflbench.experiments.grid.grid_checks import with_impossible
        from pflbench.experiments.grid.survey import identified, survey, survey_all
        from pflbench.results import Store

        if asks(ctx):
            matrix = take_matrix(ctx, options)
            from pflbench.experiments.tuning.chosen import requests_of  # it imports torch

            machine = {"data_dir": data_dir, "fallback": not no_fallback}
            found = identified(requests_of(matrix, results, **machine))
            store = Store(results) if results.exists() else None
            standings = survey({k: (v.cell, v.dataset) for k, v in found.items()}, store)
            standings = with_impossible(standings, found)
        else:
            standings = survey_all(Store(results))
    tell_notices(found.values())
    print_status(standings, form)
