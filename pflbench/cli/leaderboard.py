"""`pflbench leaderboard`: the tables of stored results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import rich_click as click

from pflbench.cli.option_types import OneOf
from pflbench.cli.session import debug_option
from pflbench.cli.shared_options import (
    boards_options,
    network_option,
    results_option,
    stage_option,
    target_option,
)
from pflbench.errors import InputError

if TYPE_CHECKING:
    from pflbench.report.tables.columns import ColumnSet
    from pflbench.report.tables.render import Format

_HELP = """Print one leaderboard a scenario.

Rows are in the order of test accuracy at the round selected on validation. Ranks follow from
verdicts, which need five seeds. The meaning of the columns follows the last board.

\b
[bold]Examples[/bold]
  pflbench leaderboard
  pflbench leaderboard --dataset mnist --format markdown > LEADERBOARD.md
  pflbench leaderboard --scenario 4be1 --format latex
  pflbench leaderboard --columns tests --explain
  pflbench leaderboard --columns transfer
  pflbench leaderboard --stage global
  pflbench leaderboard --target 0.75 --network lte
"""


@click.command(help=_HELP, short_help="Print the leaderboards of stored results.")
@results_option
@click.option(
    "--format",
    "form",
    type=OneOf(["text", "markdown", "csv", "latex"]),
    default="text",
    show_default=True,
    help="How to write the tables.",
)
@click.option(
    "--columns",
    show_default="standard, or cost with --target or --network",
    type=OneOf(
        ["standard", "tests", "transfer", "calibration", "new-clients", "relatedness", "cost"]
    ),
    help="What the tables show: the comparison; which rows are told apart, and how methods rank "
    "over boards; which clients a method hurts, also by groups; calibration; accuracy of new "
    "clients; quality of the relations that a method learnt; or cost.",
)
@click.option(
    "--score",
    metavar="NAME",
    default="accuracy",
    show_default=True,
    help="Order and rank rows by this metric of a plugin, in the direction that its record says.",
)
@stage_option
@click.option(
    "--explain",
    is_flag=True,
    help="Print the meaning of the columns in full, not only its first sentences.",
)
@boards_options
@target_option
@network_option
@debug_option
def leaderboard(
    results: Path,
    form: Format,
    columns: ColumnSet | None,
    score: str,
    stage: Literal["personal", "global"],
    explain: bool,
    scenarios: tuple[str, ...],
    datasets: tuple[str, ...],
    target: float | None,
    network: str | None,
) -> None:
    """Select the boards and print them."""
    from pflbench.cli.show_run import print_boards, select_boards

    asked = target is not None or network is not None
    if asked and columns not in (None, "cost") and form != "csv":  # a csv has all columns
        raise InputError(
            f"--target and --network belong to the columns 'cost', and --columns says {columns!r}: "
            "leave one of them out."
        )
    if stage != "personal" and target is not None:
        raise InputError(
            "--target counts the cost of personal models: expected it without --stage global."
        )
    made = select_boards(results, scenarios, datasets, target, network, score, stage)
    shown = columns or ("cost" if asked else "standard")
    print_boards(made, form, shown, explain=explain)
