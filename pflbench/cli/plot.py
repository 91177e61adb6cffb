"""`pflbench plot`: pictures for papers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pflbench.cli.option_types import OneOf, PathText
from pflbench.cli.session import debug_option
from pflbench.cli.shared_options import boards_options, results_option
from pflbench.errors import InputError

if TYPE_CHECKING:
    from pflbench.report.pictures import Against, Split

_HELP = """Draw results as a PDF, SVG or PNG for a paper.

KIND is [cyan]curves[/cyan] (accuracy against rounds, bytes or seconds), [cyan]spread[/cyan] (the
distribution over clients), [cyan]gains[/cyan] (each client's gain over local), [cyan]pareto[/cyan]
(accuracy against bytes), [cyan]ranks[/cyan] (critical-difference diagram over all scenarios) or
[cyan]partition[/cyan] (samples by client and class).

\b
[bold]Examples[/bold]
  pflbench plot curves
  pflbench plot curves --dataset mnist --x bytes --save curves.pdf
  pflbench plot gains --scenario 4be1 --width page --save gains.svg
  pflbench plot ranks
"""


@click.command(help=_HELP, short_help="Draw results for a paper: PDF, SVG or PNG.")
@click.argument(
    "kind",
    metavar="KIND",
    type=OneOf(["curves", "spread", "gains", "pareto", "ranks", "partition"]),
)
@results_option
@boards_options
@click.option(
    "--x",
    type=OneOf(["rounds", "bytes", "seconds"]),
    metavar="rounds|bytes|seconds",
    show_default="rounds",
    help="X axis of curves.",
)
@click.option(
    "--split",
    type=OneOf(["test", "val"]),
    metavar="test|val",
    show_default="test",
    help="Which accuracy curves show.",
)
@click.option(
    "--save",
    metavar="FILE",
    type=PathText(folder=False),
    show_default="KIND-SCENARIO.pdf, here",
    help="Where to: .pdf, .svg or .png.",
)
@click.option(
    "--width",
    metavar="column|page|INCHES",
    default="column",
    show_default=True,
    help="3.4 inches, 7 inches, or this number of inches.",
)
@click.option("--title", is_flag=True, help="Write the scenario above the picture.")
@debug_option
def plot(
    kind: str,
    results: Path,
    scenarios: tuple[str, ...],
    datasets: tuple[str, ...],
    x: Against | None,
    split: Split | None,
    save: Path | None,
    width: str,
    title: bool,
) -> None:
    """Draw, and say where the pictures are."""
    for option, given in (("--x", x), ("--split", split)):
        if given is not None and kind != "curves":
            raise InputError(f"{option} belongs to curves: leave it out, or plot curves.")
    from pflbench.report.terminal.screen import waiting

    with waiting("drawing"):
        from pflbench.cli.plot_kinds import Wanted, draw_all

        wanted = Wanted(kind, x or "rounds", split or "test", width, title)
        written = draw_all(wanted, results, scenarios, datasets, save)
    for path in written:
        click.echo(str(path))
