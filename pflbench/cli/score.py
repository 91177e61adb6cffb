"""`pflbench score`: metrics of a stored run, from its predictions."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pflbench.cli.option_types import OneOf, complete, listed
from pflbench.cli.session import debug_option
from pflbench.cli.shared_options import results_option

_HELP = """Compute metrics from the stored predictions of a run.

RUN is the id, or its first digits, of a run with --keep-predictions. Nothing is trained, and the
data are not needed.

\b
[bold]Examples[/bold]
  pflbench score 1f0c2a9b --metrics balanced-accuracy,macro-f1
  pflbench score 1f0c2a9b --metrics ece --split val
"""


@click.command(help=_HELP, short_help="Compute metrics from stored predictions.")
@click.argument("run", metavar="RUN")
@click.option(
    "--metrics",
    metavar="NAME",
    multiple=True,
    required=True,
    shell_complete=complete("metrics", several=True),
    help="Metrics to compute: accuracy, loss, brier, ece, and those of "
    "[cyan]pflbench list metrics[/cyan].",
)
@click.option(
    "--split",
    type=OneOf(["val", "test"]),
    default="test",
    show_default=True,
    help="Split of the samples.",
)
@results_option
@debug_option
def score(run: str, metrics: tuple[str, ...], split: str, results: Path) -> None:
    """Print them."""
    names = listed(metrics, "--metrics")
    from pflbench.report.tables.entries import four_digits
    from pflbench.report.terminal.screen import literal, numbers_right, show, table
    from pflbench.results import Store
    from pflbench.runs.predictions import Predictions

    stored = Store(results).named(run)
    found = Predictions.stored(stored, split)
    values = {name: found.score(name) for name in names}
    title = f"run {stored.id}: {split}, round {found.round}, {len(found.clients):,} clients"
    made = table("metric", "mean", "least", "greatest", "undefined for", title=title)
    for name, of_clients in values.items():
        numbers = (of_clients.mean(), of_clients.min(), of_clients.max())
        texts = ["–" if number != number else four_digits(number) for number in numbers]
        made.add_row(literal(name), *texts, f"{int(of_clients.isna().sum()):,}")
    show(numbers_right(made))
