"""`pflbench plan`: how many seeds would show an effect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pflbench.cli.option_types import Number, complete
from pflbench.cli.session import debug_option
from pflbench.cli.shared_options import boards_options, form_option, results_option

if TYPE_CHECKING:
    from typing import Literal

_HELP = """Say how many seeds would show an effect, from the runs of a scenario.

The runs say how much luck between seeds moves the difference of each method from the baseline. The
verdict is the one of boards. The spread of a few seeds is itself uncertain, so every number has an
interval: of three seeds, a wide one.

\b
[bold]Examples[/bold]
  pflbench plan --effect 1.0
  pflbench plan --effect 0.5 --power 0.9 --dataset mnist
  pflbench plan --effect 2 --algo local,fedora --format json
"""


@click.command(help=_HELP, short_help="Say how many seeds would show an effect.")
@click.option(
    "--effect",
    metavar="POINTS",
    type=Number(gt=0, le=100),
    default=1.0,
    show_default=True,
    help="Difference of accuracy to detect, in points.",
)
@click.option(
    "--power",
    metavar="X",
    type=Number(gt=0, lt=1),
    default=0.8,
    show_default=True,
    help="Probability of detecting it.",
)
@click.option(
    "--algo",
    "algorithms",
    metavar="NAME",
    multiple=True,
    shell_complete=complete("algorithms", several=True),
    help="Only these methods, and the baseline. May be a list, or given several times.",
)
@results_option
@boards_options
@form_option()
@debug_option
def plan(
    results: Path,
    form: Literal["text", "json"],
    effect: float,
    power: float,
    algorithms: tuple[str, ...],
    scenarios: tuple[str, ...],
    datasets: tuple[str, ...],
) -> None:
    """Plan every selected board and print it."""
    from pflbench.report.terminal.screen import waiting

    with waiting("drawing boards"):
        from pflbench.cli.plan_table import plans, print_plans

        made = plans(results, scenarios, datasets, algorithms, effect / 100, power)
    print_plans(made, form)
