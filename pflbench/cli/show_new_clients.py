"""The output of `pflbench show onboarding`: the results of new clients in a run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from pflbench.errors import InputError
from pflbench.report.tables.entries import percent
from pflbench.report.terminal.screen import numbers_right, show, table
from pflbench.report.terminal.units import size
from pflbench.results import Store, client_table
from pflbench.schema.new_clients import shots_in_words


def show_onboarding(run_id: str, results: Path) -> None:
    """Print a table for each round after which new clients joined.

    Raises
    ------
    InputError
        The run does not exist, or no client joined in it.
    """
    run = Store(results).named(run_id)
    run.check()
    if not run.has_table("onboarding"):
        raise InputError(
            f"No client joined in run {run.id} ({run.status}): run it with --new-clients 0.2."
        )
    joined = run.table("onboarding")
    test = client_table(run.table("metrics"), "test")
    name = run.cell["algorithm"]["name"]
    show(Text.assemble((f"run {run.id}", "bold cyan"), f"  {name}"))
    for r, part in joined.groupby("round"):
        participants = float(test.at(int(str(r))).mean())
        show(_table(int(str(r)), part, participants, len(test.clients)))
    show(
        "Test accuracy: mean over clients. The gap is the participants' accuracy after the same "
        "round minus the new clients', in points; they are different clients. k-shot: k labelled "
        "samples of each class. Labels, bytes, steps and seconds: mean of a new client."
    )


def _table(r: int, joined: pd.DataFrame, participants: float, clients: int) -> Table:
    made = table(
        "",
        "clients",
        "labels",
        "test accuracy",
        "gap",
        "down",
        "up",
        "steps",
        "seconds",
        title=f"after round {r}",
    )
    numbers_right(made)
    made.add_row("participants", str(clients), "", f"{participants:.2%}", *[""] * 5)
    for shots, part in joined.groupby("shots", sort=False):
        accuracy = float((part["correct"] / part["samples"]).mean())
        mean = part.mean(numeric_only=True)
        made.add_row(
            shots_in_words(str(shots)),
            str(len(part)),
            f"{mean['labels']:.1f}",
            f"{accuracy:.2%}",
            percent(participants - accuracy, sign=True),
            size(int(mean["bytes_down"])),
            size(int(mean["bytes_up"])),
            f"{mean['steps']:.0f}",
            f"{mean['seconds']:.3f}",
        )
    return made
