"""The output of `pflbench show partition`: the result of a partition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from pflbench.cli.saved_picture import save_picture
from pflbench.cli.session import warn
from pflbench.federation.client_names import Names, label
from pflbench.federation.skew import class_counts, skew_summary
from pflbench.report.pictures.partition_picture import shades
from pflbench.report.pictures.saving import check_picture
from pflbench.report.terminal.partition_table import PartitionPicture
from pflbench.report.terminal.screen import show, table
from pflbench.runs import RunRequest, source
from pflbench.schema.error_text import plain


def show_partition(
    expression: str,
    dataset: str,
    *,
    population: str | None,
    clients: int | None,
    seed: int,
    save: Path | None,
    data_dir: Path | None,
    fallback: bool,
) -> None:
    """Make a partition as a run would, and print its skew and its picture.

    Raises
    ------
    InputError
        The partition cannot be made, or the picture's file name is not one of a picture.
    """
    if save is not None:
        check_picture(save)
    request = RunRequest(
        algorithm="",
        dataset=dataset,
        partition=expression,
        population=population,
        clients=clients,
        seed=seed,
        data_dir=data_dir,
        fallback=fallback,
    )
    sourced = source(request)
    counts = class_counts(sourced.federation)
    if sourced.notice:
        warn(f"Notice: {plain(sourced.notice)}")
    federation = sourced.federation
    names = federation.names
    head = Text.assemble(
        (str(sourced.partition), "bold cyan"), f" of {plain(dataset)}, seed {seed}"
    )
    show(
        head,
        Text(plain(federation.source), style="dim"),
        *_groups(federation.groups, names),
        *([Text(plain(sourced.remarks))] if sourced.remarks else []),
        "",
        PartitionPicture(counts, names=names),
        skew_table(counts),
    )
    save_picture(lambda: shades(counts, names=names), save)


def _groups(groups: np.ndarray | None, names: Names | None) -> list[Text]:
    """Print which clients belong to which group, except group 0."""
    if groups is None:
        return []
    return [
        Text(
            f"Group {group}: clients "
            f"{', '.join(label(int(i), names) for i in np.flatnonzero(groups == group))}"
        )
        for group in np.unique(groups[groups > 0])
    ]


def skew_table(counts: pd.DataFrame) -> Table:
    """Return a table of the skew of every split."""
    made = table(
        "Split",
        "Clients",
        "Samples",
        "Smallest",
        "Median",
        "Largest",
        "Classes held",
        "Effective classes",
        "Label skew",
        "From train",
    )
    for column in made.columns[1:]:
        column.justify = "right"
    whole = ("clients", "samples", "smallest", "median", "largest")
    for row in skew_summary(counts).to_dict("records"):
        made.add_row(
            row["split"],
            *(f"{row[key]:,.0f}" for key in whole),
            *(f"{row[key]:.1f}" for key in ("classes_held", "effective_classes")),
            *(f"{row[key]:.3f}" for key in ("label_skew", "from_train")),
        )
    return made
