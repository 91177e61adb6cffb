"""`pflbench export-data`: a federation in the layout of another suite."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pflbench.cli.option_types import Number, PathText
from pflbench.cli.scenario_options import field_option
from pflbench.cli.session import debug_option, warn
from pflbench.cli.shared_options import data_options
from pflbench.schema.scenario_fields import scenario_fields

_FIELDS = scenario_fields()

_HELP = """Write a federation for other suites.

It is the federation that runs with this seed have. TARGET is the folder to be, or the file of
parquet. Each layout is read back as --dataset LAYOUT:TARGET, with equal samples.

\b
[bold]Examples[/bold]
  pflbench export-data mnist-dir --layout pfllib --dataset mnist --partition "dirichlet(alpha=0.1)"
  pflbench export-data clients.parquet --layout parquet --dataset npz:points.npz
"""


@click.command("export-data", help=_HELP, short_help="Write a federation for other suites.")
@click.argument("target", metavar="TARGET", type=PathText())
@click.option("--layout", metavar="NAME", required=True, help="npz, pfllib, leaf or parquet.")
@field_option(
    _FIELDS["dataset"], multiple=False, required=True, help="Data set: a name, or name:PATH."
)
@field_option(
    _FIELDS["partition"],
    multiple=False,
    help="Partition; default: the reference scenario's, or the clients of the data.",
)
@field_option(_FIELDS["population"], help="Clients that differ from the others.")
@field_option(_FIELDS["clients"], help="Number of clients; default: the reference scenario's.")
@click.option(
    "--seed",
    metavar="N",
    type=Number(ge=0, whole=True),
    default=0,
    show_default=True,
    help="Seed of the partition.",
)
@data_options
@debug_option
def export_data(
    target: Path,
    layout: str,
    dataset: str,
    partition: str | None,
    population: str | None,
    clients: int | None,
    seed: int,
    data_dir: Path | None,
    no_fallback: bool,
) -> None:
    """Make the federation and write it."""
    from pflbench.errors import UnknownNameError
    from pflbench.federation.exports import LAYOUTS, write_federation
    from pflbench.runs import RunRequest, source
    from pflbench.schema.error_text import plain

    if layout not in LAYOUTS:
        raise UnknownNameError("layout", layout, LAYOUTS)
    sourced = source(
        RunRequest(
            algorithm="",
            dataset=dataset,
            partition=partition,
            population=population,
            clients=clients,
            seed=seed,
            data_dir=data_dir,
            fallback=not no_fallback,
        )
    )
    if sourced.notice:
        warn(f"Notice: {plain(sourced.notice)}")
    notice = write_federation(sourced.federation, target, layout)
    if notice:
        warn(f"Notice: {plain(notice)}")
    federation = sourced.federation
    sizes = [int(federation.split(split).sizes.sum()) for split in ("train", "val", "test")]
    warn(
        f"wrote {target}: {federation.clients:,} clients, {sizes[0]:,} training, {sizes[1]:,} "
        f"validation, {sizes[2]:,} test samples; --dataset {layout}:{target} reads it"
    )
