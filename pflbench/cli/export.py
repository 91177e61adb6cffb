"""`pflbench export`: one client's personal model out of a stored run."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pflbench.cli.option_types import COUNT, Number, PathText
from pflbench.cli.session import debug_option, warn
from pflbench.cli.shared_options import results_option
from pflbench.errors import InputError

_HELP = """Write a client's personal model to a file.

RUN is the id, or its first digits, of a run with --keep-models. FILE gets the model as
safetensors, each tensor under the name that the network gives it: load it with load_state_dict.

\b
[bold]Examples[/bold]
  pflbench export 1f0c2a9b --client 3 client-3.safetensors
"""


@click.command(help=_HELP, short_help="Write a client's model to a file.")
@click.argument("run", metavar="RUN")
@click.argument("file", metavar="FILE", type=PathText(folder=False))
@click.option(
    "--client",
    metavar="N",
    type=Number(ge=0, whole=True),
    required=True,
    help="Number of the client, from 0.",
)
@click.option(
    "--round",
    metavar="N",
    type=COUNT,
    help="Round of the model, of a run with --keep-models every=N; default: the latest one.",
)
@results_option
@debug_option
def export(run: str, file: Path, client: int, round: int | None, results: Path) -> None:
    """Write it."""
    from pflbench.results import Store
    from pflbench.results.checkpoint import save_tensors, storable
    from pflbench.results.files import write_file
    from pflbench.results.model_file import kept_models, read_model

    stored = Store(results).named(run)
    kept = kept_models(stored, round)
    tensors = storable(read_model(stored.folder / kept.file, kept, client))
    if not file.absolute().parent.is_dir():
        raise InputError(f"{file} cannot be written: there is no folder {file.parent}.")
    about = {"run": stored.id, "client": str(client), "round": str(kept.round)}
    write_file(file, lambda temporary: save_tensors(tensors, temporary, about))
    warn(f"wrote {file}")
