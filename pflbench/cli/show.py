"""`pflbench show`: a plugin, a partition, or a run."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from click.shell_completion import CompletionItem

from pflbench.cli.option_types import Number, complete, complete_any_name, names_of_plugins
from pflbench.cli.scenario_options import field_option
from pflbench.cli.session import debug_option
from pflbench.cli.shared_options import (
    data_options,
    network_option,
    results_option,
    save_option,
    target_option,
)
from pflbench.errors import UnknownNameError
from pflbench.schema.scenario_fields import scenario_fields

_FIELDS = scenario_fields()

_HELP = """Show a plugin, a partition or a run.

NAME is any name that [cyan]pflbench list[/cyan] has.

\b
[bold]Examples[/bold]
  pflbench show fedora
  pflbench show mnist
  pflbench show partition "dirichlet(alpha=0.1)" --dataset mnist --clients 50
  pflbench show run 1f0c2a9b
  pflbench show transfer 1f0c2a9b
  pflbench show relatedness 1f0c2a9b
"""

_PARTITION = """Make a partition and show how it came out: sizes, classes, a picture.

It is the partition that runs with this seed have.

\b
[bold]Examples[/bold]
  pflbench show partition "dirichlet(alpha=0.1)" --dataset mnist --clients 50
  pflbench show partition "rotated(step=10)" --dataset mnist --save r.png
"""

_TRANSFER = """Show which clients a run helps and hurts, client by client.

It is compared with the run of local, which never communicates, of the same scenario and seed.
ID is the run's id or its first digits.

\b
[bold]Examples[/bold]
  pflbench show transfer 1f0c2a9b
  pflbench show transfer 1f0c2a9b --save transfer.png
"""


_RELATEDNESS = """Show how a run's server takes its clients to relate: the graph S, and Π.

If the scenario knows how they really relate, the graph is scored against it. ID is the run's id or
its first digits.

\b
[bold]Examples[/bold]
  pflbench show relatedness 1f0c2a9b
  pflbench show relatedness 1f0c2a9b --save graph.png
"""


_COST = """Show what runs cost: bytes by kind of message, steps, seconds, memory.

ID is a run's id or its first digits. Of none, all complete runs of the scenario are shown.

\b
[bold]Examples[/bold]
  pflbench show cost
  pflbench show cost --target 0.75 --network lte
  pflbench show cost 1f0c 88e2 --save cost.png
"""


class ShowGroup(click.RichGroup):
    """A group in which a first word that is not a command is a plugin's name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take an unknown word for the argument of `show plugin`."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            if len(args) > 1 and not args[1].startswith("-"):
                raise UnknownNameError("display", args[0], self.commands)
            args = ["plugin", *args]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names of plugins and the group's own commands."""
        return [*super().shell_complete(ctx, incomplete), *names_of_plugins(incomplete)]


@click.group(cls=ShowGroup, help=_HELP, short_help="Show a plugin, a partition, a run.")
@debug_option
def show() -> None:
    """Do nothing without a command."""


@show.command()
@click.argument("name", shell_complete=complete_any_name)
@click.option("--note", is_flag=True, help="Print the method's note as well.")
@debug_option
def plugin(name: str, note: bool) -> None:
    """Show a plugin's record: NAME alone does the same."""
    from pflbench.cli.show_plugin import describe

    describe(name, note=note)


@show.command(help=_PARTITION)
@click.argument("expression", metavar="EXPR", shell_complete=complete("partitioners"))
@field_option(
    _FIELDS["dataset"], multiple=False, required=True, help="Data set: a name, or name:PATH."
)
@field_option(
    _FIELDS["population"],
    help="Clients that differ from the others, such as groups(minority=0.2). "
    "Their numbers are printed.",
)
@field_option(_FIELDS["clients"], help="Number of clients; default: the reference scenario's.")
@click.option(
    "--seed",
    metavar="N",
    type=Number(ge=0, whole=True),
    default=0,
    show_default=True,
    help="Seed of the partition.",
)
@save_option("Write the picture to a file as well")
@data_options
@debug_option
def partition(
    expression: str,
    dataset: str,
    population: str | None,
    clients: int | None,
    seed: int,
    save: Path | None,
    data_dir: Path | None,
    no_fallback: bool,
) -> None:
    """Make the partition and print it."""
    from pflbench.report.terminal.screen import waiting

    with waiting("loading"):
        from pflbench.cli.show_partition import show_partition

    show_partition(
        expression,
        dataset,
        population=population,
        clients=clients,
        seed=seed,
        save=save,
        data_dir=data_dir,
        fallback=not no_fallback,
    )


@show.command(help=_COST)
@click.argument("runs", metavar="[ID]...", nargs=-1)
@click.option(
    "--scenario", metavar="ID", help="All complete runs of this scenario: its id or first digits."
)
@target_option
@network_option
@save_option("Draw accuracy against bytes into a file")
@results_option
@debug_option
def cost(
    runs: tuple[str, ...],
    scenario: str | None,
    target: float | None,
    network: str | None,
    save: Path | None,
    results: Path,
) -> None:
    """Print the costs of runs."""
    from pflbench.report.terminal.screen import waiting

    with waiting("reading"):
        from pflbench.cli.show_cost import show_cost

    show_cost(runs, results, scenario=scenario, target=target, network=network, save=save)


@show.command("run")
@click.argument("run_id", metavar="ID")
@results_option
@debug_option
def run_(run_id: str, results: Path) -> None:
    """Show a run: its cell, how it ended, and the command that repeats it.

    ID is the run's id or its first digits.
    """
    from pflbench.cli.show_run import show_run

    show_run(run_id, results)


@show.command(help=_TRANSFER)
@click.argument("run_id", metavar="ID")
@save_option("Write a picture of the gains as well")
@results_option
@debug_option
def transfer(run_id: str, save: Path | None, results: Path) -> None:
    """Compare a run with that of local and print it."""
    from pflbench.cli.show_transfer import show_transfer

    show_transfer(run_id, results, save)


@show.command()
@click.argument("run_id", metavar="ID")
@results_option
@debug_option
def onboarding(run_id: str, results: Path) -> None:
    """Show the results of new clients in a run: accuracy against labels, gap, and cost of joining.

    ID is the run's id or its first digits; the run was started with --new-clients.
    """
    from pflbench.cli.show_new_clients import show_onboarding

    show_onboarding(run_id, results)


@show.command(help=_RELATEDNESS)
@click.argument("run_id", metavar="ID")
@save_option("Write a picture as well")
@results_option
@debug_option
def relatedness(run_id: str, save: Path | None, results: Path) -> None:
    """Print the relations of clients that a run's server learnt."""
    from pflbench.cli.show_relatedness import show_relatedness

    show_relatedness(run_id, results, save)
