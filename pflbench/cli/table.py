"""`pflbench table`: methods × scenarios, for a paper."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pflbench.cli.option_types import COUNT, OneOf, PathText, listed
from pflbench.cli.session import debug_option
from pflbench.cli.shared_options import boards_options, data_options, results_option, stage_option
from pflbench.errors import InputError

if TYPE_CHECKING:
    from typing import Literal

    from pflbench.report.tables.paper_table import Spread

_HELP = """Print methods × scenarios as one table, for a paper.

The best mean of a column is bold (in text: *), and methods that are not told apart from it by the
paired test over seeds are underlined (~): verdicts need five seeds. With --matrix the table has
exactly the file's cells, and is refused if one of them has no complete run.

\b
[bold]Examples[/bold]
  pflbench table
  pflbench table --matrix paper.toml --format latex > table.tex
  pflbench table --metrics accuracy,worst-tenth --spread interval
  pflbench table --dataset mnist --format csv
  pflbench table --stage global
"""


@click.command(help=_HELP, short_help="Print methods × scenarios, for a paper.")
@click.option(
    "--matrix",
    metavar="FILE",
    type=PathText(folder=False),
    help="Exactly the cells of a TOML file, with the methods in its order.",
)
@click.option(
    "--metrics",
    metavar="NAME",
    multiple=True,
    default=["accuracy"],
    show_default=True,
    help="What to show: accuracy, worst-tenth, worst-client, by-samples, last-round, gain, hurt, "
    "nll, brier, ece, or a plugin's metric. May be a list, or given several times.",
)
@click.option(
    "--spread",
    type=OneOf(["std", "interval", "none"]),
    default="std",
    show_default=True,
    help="After a mean: the standard deviation over seeds, the 95 % t interval, or nothing.",
)
@click.option(
    "--format",
    "form",
    type=OneOf(["text", "markdown", "csv", "latex"]),
    default="text",
    show_default=True,
    help="How to write the table.",
)
@click.option(
    "--across",
    metavar="N",
    type=COUNT,
    show_default="as many as an article's page has room for",
    help="Columns of numbers side by side in LaTeX; others follow below.",
)
@stage_option
@results_option
@boards_options
@data_options
@debug_option
def table(
    results: Path,
    matrix: Path | None,
    metrics: tuple[str, ...],
    spread: Spread,
    form: Literal["text", "markdown", "csv", "latex"],
    across: int | None,
    stage: Literal["personal", "global"],
    scenarios: tuple[str, ...],
    datasets: tuple[str, ...],
    data_dir: Path | None,
    no_fallback: bool,
) -> None:
    """Make the table and print it."""
    from pflbench.report.terminal.screen import on_terminal, show, waiting

    chosen = scenarios or datasets
    if matrix is not None and chosen:
        raise InputError(
            "--matrix says which scenarios the table has: leave --scenario and --dataset out."
        )
    with waiting("reading"):
        from pflbench.experiments.matrix_tables import table as made_of

        made = made_of(
            results,
            matrix=matrix,
            metrics=listed(metrics, "--metrics"),
            spread=spread,
            scenarios=listed(scenarios, "--scenario"),
            datasets=listed(datasets, "--dataset"),
            across=across,
            stage=stage,
            data_dir=data_dir,
            fallback=not no_fallback,
        )
    if form == "text" and on_terminal(sys.stdout):
        from rich.console import Console

        show(made.renderable(Console().width))
        return
    written = {
        "text": made.to_text,
        "markdown": made.to_markdown,
        "csv": made.to_csv,
        "latex": made.to_latex,
    }
    click.echo(written[form]().rstrip("\n"))
