"""`pflbench verify`: whether a bundle of results is what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pflbench.cli.option_types import Number, PathText
from pflbench.cli.session import debug_option, warn
from pflbench.cli.shared_options import data_options, form_option
from pflbench.errors import InputError

if TYPE_CHECKING:
    from typing import Literal

    from pflbench.runs.verification import Verdict

_HELP = """Check a bundle of results.

Its form and checksums are checked, every summary is recomputed from the run's tables of clients,
and with --reproduce a drawn sample of its cells is run again. The exit status is 0 if nothing
speaks against the bundle, and else 1.

\b
[bold]Examples[/bold]
  pflbench verify results.zip
  pflbench verify results.zip --reproduce 3 --out verdict.json
"""


@click.command(help=_HELP, short_help="Check a bundle of results.")
@click.argument("bundle", metavar="BUNDLE", type=PathText(folder=False))
@click.option(
    "--reproduce",
    "sample",
    metavar="N",
    type=Number(ge=0, whole=True),
    default=0,
    show_default=True,
    help="Run this number of its cells again, drawn at random.",
)
@click.option(
    "--tolerance",
    metavar="X",
    type=Number(ge=0, lt=1),
    help="Share by which numbers may differ; default: 0 on the machine that a run was computed on, "
    "0.05 elsewhere.",
)
@click.option(
    "--seed",
    metavar="N",
    type=Number(ge=0, whole=True),
    help="Seed of the sample, to draw the same cells again.",
)
@click.option(
    "--out", metavar="FILE", type=PathText(folder=False), help="Write the verdict there as JSON."
)
@click.option(
    "--dataset",
    "datasets",
    metavar="NAME:PATH",
    multiple=True,
    help="Path of a run's data set on this machine. May be given several times.",
)
@form_option("How to print the verdict.")
@data_options
@debug_option
def verify(
    bundle: Path,
    sample: int,
    tolerance: float | None,
    seed: int | None,
    out: Path | None,
    form: Literal["text", "json"],
    datasets: tuple[str, ...],
    data_dir: Path | None,
    no_fallback: bool,
) -> int:
    """Check it, and print and write the verdict."""
    import json

    from pflbench.results.files import write_json
    from pflbench.runs.verification import verify as verified

    if out is not None and not out.absolute().parent.is_dir():
        raise InputError(f"{out} cannot be written: there is no folder {out.parent}.")
    found = verified(
        bundle,
        sample=sample,
        tolerance=tolerance,
        seed=seed,
        datasets=datasets,
        data_dir=data_dir,
        fallback=not no_fallback,
        begin=lambda run_id: warn(f"running {run_id} again"),
    )
    if out is not None:
        write_json(out, found.to_json())
    if form == "json":
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        _print(found)
    return 0 if found.accepted else 1


def _print(found: Verdict) -> None:
    from rich.text import Text

    from pflbench.report.terminal.screen import show
    from pflbench.schema.error_text import plain

    lines = []
    if found.bundle:
        lines.append(Text(f"Bundle {found.bundle[:12]}: {found.runs:,} runs", "bold"))
    if found.outcome != "refused":
        lines.append(
            Text("Every file has its checksum, and every summary follows from its tables.")
        )
    for one in found.repeated:
        word = {True: "agrees", False: "differs", None: "not repeated"}[one.agrees]
        lines.append(Text(f"{one.run_id} {word}: {plain(one.said)}"))
    if found.seed is not None:
        lines.append(Text(f"The sample was drawn with --seed {found.seed}."))
    reason = f": {plain(found.reason)}" if found.reason else "."
    style = "bold green" if found.accepted else "bold red"
    show(*lines, Text(f"Verdict: {found.outcome}{reason}", style))
