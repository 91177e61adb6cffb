"""The command `pflbench`."""

from __future__ import annotations

import rich_click as click

from pflbench.cli.session import Commands, debug_option
from pflbench.version import __version__

_LAZY = {
    "run": "pflbench.cli.run:run",
    "tune": "pflbench.cli.tune:tune",
    "status": "pflbench.cli.status:status",
    "leaderboard": "pflbench.cli.leaderboard:leaderboard",
    "table": "pflbench.cli.table:table",
    "methods-section": "pflbench.cli.methods_section_command:methods_section",
    "plan": "pflbench.cli.plan:plan",
    "reproduce": "pflbench.cli.reproduce:reproduce",
    "bundle": "pflbench.cli.bundle:bundle",
    "verify": "pflbench.cli.verify:verify",
    "results": "pflbench.cli.results_fetch:results",
    "report": "pflbench.cli.report:report",
    "plot": "pflbench.cli.plot:plot",
    "list": "pflbench.cli.list_plugins:list_",
    "show": "pflbench.cli.show:show",
    "export": "pflbench.cli.export:export",
    "export-data": "pflbench.cli.export_data:export_data",
    "score": "pflbench.cli.score:score",
    "doctor": "pflbench.cli.doctor:doctor",
    "check": "pflbench.cli.check:check",
    "new": "pflbench.cli.new:new",
}

_HELP = """Compare methods for personalized federated learning.

Methods, data sets, partitioners and models are plugins: see [cyan]pflbench list[/cyan].

\b
[bold]Examples[/bold]
  pflbench run --algo fedora --dataset mnist
  pflbench run --algo local,fedavg,fedora --dataset mnist --seed 0,1,2
  pflbench leaderboard
  pflbench list
  pflbench show fedora
"""

_EPILOG = (
    """Completion in bash: eval "$(_PFLBENCH_COMPLETE=bash_source pflbench)" (also zsh, fish)."""
)


@click.group(
    cls=Commands,
    lazy=_LAZY,
    help=_HELP,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.rich_config(
    help_config={
        "text_markup": "rich",
        "text_paragraph_linebreaks": "\n\n",
        "padding_helptext_first_line": (0, 0, 1, 0),
        "max_width": 100,
    }
)
@click.command_panel(
    "Run and compare",
    commands=[
        "run",
        "tune",
        "status",
        "leaderboard",
        "table",
        "methods-section",
        "plan",
        "report",
        "plot",
        "reproduce",
        "bundle",
        "verify",
        "results",
    ],
)
@click.command_panel("Look", commands=["list", "show", "export", "export-data", "score", "doctor"])
@click.command_panel("Extend", commands=["check", "new"])
@click.version_option(__version__, prog_name="pflbench", message="%(prog)s %(version)s")
@debug_option
@click.pass_context
def main(ctx: click.Context) -> None:
    """Print help when no command is given."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
