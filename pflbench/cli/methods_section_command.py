"""`pflbench methods-section`: what was done, for a paper, from the runs themselves."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pflbench.cli.option_types import OneOf, PathText, listed
from pflbench.cli.session import debug_option
from pflbench.cli.shared_options import boards_options, data_options, results_option
from pflbench.errors import InputError

if TYPE_CHECKING:
    from typing import Literal

_HELP = """Print the paragraph of a paper that says what was done, from the runs.

It names methods, data, splits, selection, tuning, seeds, statistics and versions, with citations;
its BibTeX follows, or is printed alone with --bibtex.

\b
[bold]Examples[/bold]
  pflbench methods-section
  pflbench methods-section --matrix paper.toml --format latex > methods.tex
  pflbench methods-section --matrix paper.toml --bibtex > pflbench.bib
"""


@click.command("methods-section", help=_HELP, short_help="Print what was done, for a paper.")
@click.option(
    "--matrix",
    metavar="FILE",
    type=PathText(folder=False),
    help="Exactly the cells of a TOML file, all of which must be complete.",
)
@click.option(
    "--format",
    "form",
    type=OneOf(["text", "markdown", "latex"]),
    default="text",
    show_default=True,
    help="How to write the paragraph.",
)
@click.option("--bibtex", is_flag=True, help="Print the BibTeX alone.")
@results_option
@boards_options
@data_options
@debug_option
def methods_section(
    results: Path,
    matrix: Path | None,
    form: Literal["text", "markdown", "latex"],
    bibtex: bool,
    scenarios: tuple[str, ...],
    datasets: tuple[str, ...],
    data_dir: Path | None,
    no_fallback: bool,
) -> None:
    """Select the boards and describe them."""
    if matrix is not None and (scenarios or datasets):
        raise InputError(
            "--matrix says which scenarios are described: leave --scenario and --dataset out."
        )
    from pflbench.report.terminal.screen import waiting

    with waiting("reading"):
        from pflbench.analysis import leaderboard
        from pflbench.report.tables.methods_section import methods_section as described
        from pflbench.results import Store
        from pflbench.results.tunings import studies_of

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
        made = described(boards, Store(results).runs(), studies_of(results))
    if bibtex:
        click.echo(made.to_bibtex())
    elif form == "latex":
        click.echo(f"% BibTeX: pflbench methods-section --bibtex\n{made.to_latex()}")
    elif form == "markdown":
        click.echo(f"{made.to_markdown()}\n\n```bibtex\n{made.to_bibtex()}\n```")
    else:
        lines = textwrap.fill(made.to_text(), 80, break_long_words=False, break_on_hyphens=False)
        click.echo(f"{lines}\n\n{made.to_bibtex()}")
