"""`pflbench check`: whether a plugin keeps the rules, and matches its official code."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pflbench.cli.option_types import Number, OneOf, PathText, complete_any_name
from pflbench.cli.session import Session, debug_option
from pflbench.errors import InputError

TOLERANCE = 1e-5

_HELP = """Check that a plugin keeps the rules, or that a method replays its official code.

For a method the rules are: stacked equals sequential, resumed equals uninterrupted, no client sees
another client's data, every byte is counted, and more. With [cyan]--golden[/cyan] it is compared
with a recorded run of the official implementation instead.

\b
[bold]Examples[/bold]
  pflbench check my-method
  pflbench check fedora --golden fedora.npz
  pflbench check pfedhn --golden pfedhn.npz --engine sequential
"""


@click.command(help=_HELP, short_help="Check that a plugin keeps the rules.")
@click.argument("name", shell_complete=complete_any_name)
@click.option_panel("Against the official code", options=["--golden", "--tolerance", "--engine"])
@click.option(
    "--golden",
    metavar="FILE",
    type=PathText(),
    help="Replay this recording and print the largest difference of every quantity.",
)
@click.option(
    "--tolerance",
    metavar="X",
    type=Number(ge=0),
    help=f"Largest absolute difference that passes; default: {TOLERANCE:g}.",
)
@click.option(
    "--engine",
    metavar="auto|stacked|sequential",
    type=OneOf(["auto", "stacked", "sequential"]),
    help="Engine of the replay; default: auto.",
)
@debug_option
@click.pass_context
def check(
    ctx: click.Context, name: str, golden: Path | None, tolerance: float | None, engine: str | None
) -> int:
    """Run the checks and print each as it ends; exit with 1 if one fails."""
    if golden is None and (tolerance is not None or engine is not None):
        raise InputError("--tolerance and --engine are for a recording: expected --golden FILE.")
    if golden is None:
        from pflbench.cli.check_report import check_rules

        return check_rules(name, debug=ctx.ensure_object(Session).debug)
    from pflbench.schema.plugins import installed

    registry = installed()
    spec = registry.get(registry.algorithms, name)
    if not golden.is_file():
        raise InputError(f"Recording {golden} does not exist.")
    from pflbench.cli.check_report import check_recording

    limit = TOLERANCE if tolerance is None else tolerance
    return check_recording(spec, golden, limit, engine or "auto")
