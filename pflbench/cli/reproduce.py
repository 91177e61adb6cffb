"""`pflbench reproduce`: a stored run is repeated and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pflbench.cli.option_types import Number, PathText
from pflbench.cli.session import INTERRUPTED, debug_option, warn
from pflbench.cli.shared_options import data_options, form_option, results_option
from pflbench.cli.torchrun import TERMINATED, Terminated, heeding_sigterm

if TYPE_CHECKING:
    from pflbench.runs import Agreement

_HELP = """Run a stored run again, and say whether it agrees.

On the machine that it was computed on, every bit has to be the same; elsewhere differences within
a tolerance agree. The stored run is not changed. RUN is the run's id or its first digits. The exit
status is 0 if it agrees, 1 if it differs and 2 if it cannot be run again.

\b
[bold]Examples[/bold]
  pflbench reproduce 1f0c2a9b
  pflbench reproduce 1f0c --results results/published --tolerance 0.02
  pflbench reproduce 1f0c --data-dir /data --keep again
"""


@click.command(help=_HELP, short_help="Run a stored run again and compare.")
@click.argument("run", metavar="RUN")
@click.option(
    "--tolerance",
    metavar="X",
    type=Number(ge=0, lt=1),
    help="Share by which numbers may differ; default: 0 on the machine that the run was computed "
    "on, 0.05 elsewhere.",
)
@click.option(
    "--keep", metavar="DIR", type=PathText(), help="Keep the new run in this results folder."
)
@click.option(
    "--dataset",
    metavar="NAME:PATH",
    help="Path of the run's data set on this machine, if its files were elsewhere.",
)
@data_options
@results_option
@form_option("How to print the outcome.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@debug_option
@click.pass_context
def reproduce(
    ctx: click.Context,
    run: str,
    tolerance: float | None,
    keep: Path | None,
    dataset: str | None,
    data_dir: Path | None,
    no_fallback: bool,
    results: Path,
    form: str,
    quiet: bool,
) -> int:
    """Run it again, and print where it differs."""
    from pflbench.report.terminal.screen import progress_console, waiting

    with waiting("loading", show=not quiet):
        from pflbench.cli.notices import noticing
        from pflbench.cli.progress.one_cell import make_display
        from pflbench.runs import reproduce as again

    try:
        with (
            heeding_sigterm(),
            make_display(progress_console(), 1, quiet=quiet) as display,
            noticing(display.notice, quiet=quiet),
        ):
            display.begin(1, f"run {run}")
            agreement = again(
                run,
                results=results,
                data_dir=data_dir,
                fallback=not no_fallback,
                dataset=dataset,
                tolerance=tolerance,
                keep=keep,
                observers=[display],
            )
    except KeyboardInterrupt as error:
        warn("\nInterrupted; the stored run is unchanged.")
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    if form == "json":
        import json

        click.echo(json.dumps(agreement.to_json(), indent=2))
    else:
        _print(agreement)
    return 0 if agreement.agrees else 1


def _print(agreement: Agreement) -> None:
    from rich.text import Text

    from pflbench.report.terminal.screen import show, table

    shown = table("table", "column", "largest difference", "where", "here", "stored", "verdict")
    for compared in agreement.tables:
        if not compared.differences:
            words = f"all {compared.columns}, {compared.rows:,} rows"
            shown.add_row(compared.table, words, "0", "", "", "", "same bits")
        for d in compared.differences:
            largest = "other" if d.largest == float("inf") else f"{d.largest:.3g}"
            verdict = "within tolerance" if d.agrees else "differs"
            cells = (d.table, d.column, largest, d.where, d.here, d.there, verdict)
            shown.add_row(*map(Text, cells))
    where = "the machine, device and versions that it was computed with"
    if agreement.elsewhere:
        where = f"not where it was computed: {', '.join(agreement.elsewhere)} differ"
    head = Text.assemble((f"run {agreement.run_id}", "bold cyan"), f"  {where}")
    style = "green" if agreement.agrees else "bold red"
    show(head, *([shown] if agreement.tables else []), Text(agreement.verdict, style))
