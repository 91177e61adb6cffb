"""`pflbench doctor`: what is installed and found here, for bug reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pflbench.cli.option_types import PathText
from pflbench.cli.session import debug_option
from pflbench.cli.shared_options import form_option, results_option

if TYPE_CHECKING:
    from typing import Literal

_HELP = """Print what is found here, for a bug report.

That is versions, devices, data, results, file locks, plugins, and what does not work. Home folders
are written ~ and this machine's name HOST. Of the environment, only variables of pflbench, PyTorch
and its threads are read. The exit status is 0 in any case: scripts read the list problems of the
JSON.

\b
[bold]Examples[/bold]
  pflbench doctor
  pflbench doctor --json
"""


@click.command(help=_HELP, short_help="Print what is found here, for a bug report.")
@form_option()
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--paths", is_flag=True, help="Print home folders and this machine's name, too.")
@click.option(
    "--data-dir",
    metavar="DIR",
    type=PathText(),
    envvar="PFLBENCH_DATA",
    show_envvar=True,
    help="Folder with data set files, in torchvision's layout.",
)
@results_option
@debug_option
def doctor(
    results: Path, form: Literal["text", "json"], as_json: bool, paths: bool, data_dir: Path | None
) -> None:
    """Look, and print."""
    from pflbench.cli import diagnosis
    from pflbench.report.terminal.screen import waiting

    with waiting("looking"):
        found = diagnosis.diagnose(results, data_dir)
    if not paths:
        found = diagnosis.without_places(found)
    if as_json or form == "json":
        click.echo(diagnosis.as_json(found))
        return
    _print(found)


def _print(found: Mapping[str, Any]) -> None:
    from rich.text import Text

    from pflbench.report.terminal.screen import literal, show, table

    parts: list[Any] = []
    for part, facts in found.items():
        if part == "problems":
            continue
        made = table(part.capitalize(), "")
        for name, value in _lines(facts):
            made.add_row(literal(name), literal(value))
        parts.append(made if made.row_count else Text(f"{part.capitalize()}: nothing set\n"))
    problems = found["problems"]
    if not problems:
        parts.append(Text("No problems found.", "green"))
    for problem in problems:
        parts.append(Text(f"Problem: {' '.join(str(problem).split())}", "bold red"))
    show(*parts, width=80)


def _lines(facts: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield the facts as names and texts; a mapping of its own has a line for each entry."""
    for name, value in facts.items():
        shown = before + (str(name) if str(name).isupper() else str(name).replace("_", " "))
        if isinstance(value, Mapping):
            if all(isinstance(one, int) for one in value.values()):
                counts = ", ".join(f"{kind} {number:,}" for kind, number in value.items())
                yield shown, counts or "none"
            else:
                yield from _lines(value, "" if name == "packages" else f"{shown}: ")
        elif isinstance(value, bool):
            yield shown, "yes" if value else "no"
        elif isinstance(value, int):
            yield shown, f"{value:,}"
        else:
            yield shown, "; ".join(map(str, value)) if isinstance(value, list) else str(value)
