"""`pflbench check`: whether a plugin keeps the rules, and matches its official code."""

from __future__ import annotations

import rich_click as click

from pflbench.cli.names import complete_any_name
from pflbench.cli.session import debug_option

_HELP = """Check that a plugin keeps the rules of its kind.

For a method: stacked equals sequential, resumed equals uninterrupted, no client sees another's
data, every byte is counted, and more.

\b
[bold]Examples[/bold]
  pflbench check my-method
"""


@click.command(help=_HELP, short_help="Check that a plugin keeps the rules.")
@click.argument("name", shell_complete=complete_any_name)
@debug_option
def check(name: str) -> int:
    """Run the checks and print each as it ends; exit with 1 if one fails."""
    from pflbench.cli.checking import check_rules

    return check_rules(name)
