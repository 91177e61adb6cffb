"""The output of `pflbench show transfer`: which clients a run helps and hurts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pflbench.analysis.gradients import alike
from pflbench.analysis.protocol import BASELINE
from pflbench.analysis.row_names import title
from pflbench.analysis.transfer import Comparison, Transfer, transfer
from pflbench.cli.saved_picture import save_picture
from pflbench.federation.client_names import label
from pflbench.federation.skew import NO_GROUP
from pflbench.report.pictures.saving import check_picture
from pflbench.report.pictures.transfer_picture import ASPECTS, rank_correlation, transfer_figure
from pflbench.report.tables.entries import percent
from pflbench.report.terminal.screen import literal, numbers_right, show, table
from pflbench.results import Store
from pflbench.results.run_lookup import the_one

ROWS = 40
"""Most clients in the list: of more, those with the lowest and the highest gains."""


def show_transfer(run_id: str, results: Path, save: Path | None) -> None:
    """Compare a run with its baseline's and print it; save the picture, if a file is named.

    Raises
    ------
    InputError
        No such run, no baseline to compare it with, or no name of a picture.
    """
    if save is not None:
        check_picture(save)
    runs = {run.id: run for run in Store(results).runs()}
    found = transfer(runs[the_one(run_id, runs, "run")], runs.values())
    show(*_parts(found))
    save_picture(lambda: transfer_figure(found), save)


def _parts(found: Transfer) -> list[RenderableType]:
    run, cell = found.run, found.run.typed_cell
    written = str(run.labels.get("dataset") or cell.scenario.dataset)
    return [
        Text.assemble(
            (cell.algorithm.name, "bold cyan"),
            f" (run {run.id}) against ",
            (BASELINE, "bold cyan"),
            f" (run {found.partner.id})",
        ),
        Text(f"{title(written, cell.scenario)}, seed {cell.seed}", style="dim"),
        *_budgets(found),
        _summary(found),
        *(Text(line) for line in _correlations(found.clients)),
        _clients(found.clients),
        Text(
            "Accuracy on test, of each run at its own validation-selected round. ±: one standard "
            "error of the gain, binomial, as if the two models erred independently; the samples "
            "that each got wrong are not stored, so a paired error is unknown.",
            style="dim",
        ),
    ]


def _budgets(found: Transfer) -> list[Text]:
    """Say where the run computed more, or less, than its baseline."""
    if found.gradients is None or alike(found.gradients[0] / found.gradients[1]):
        return []
    own, base = found.gradients
    return [
        Text(
            f"Budgets differ: {own:,} gradients, including fine-tuning, against {base:,} "
            f"of {BASELINE}, {own / base:.2f} times as many.",
            style="yellow",
        )
    ]


def _summary(found: Transfer) -> Table:
    made = table(
        "Clients",
        "Number",
        "Test accuracy",
        BASELINE.capitalize(),
        "Mean gain",
        "Hurt",
        "Beyond error",
        "Loss of the hurt",
        "Worst client",
    )
    numbers_right(made)
    parts = {"all": found.whole, **{f"group {k}": v for k, v in found.groups.items()}}
    for words, part in parts.items():
        made.add_row(words, *_numbers(part))
    return made


def _numbers(part: Comparison) -> list[str]:
    return [
        f"{part.clients:,}",
        f"{part.accuracy:.2%}",
        f"{part.baseline:.2%}",
        percent(part.gain, sign=True),
        f"{part.hurt:.1%}",
        f"{part.hurt_beyond_error:.1%}",
        percent(part.loss_of_hurt),
        percent(part.worst_gain, sign=True),
    ]


def _correlations(clients: pd.DataFrame) -> list[str]:
    """Print the correlation of gains with the clients' properties."""
    lines = []
    for name, words in ASPECTS.items():
        if clients[name].isna().any():
            continue
        value = rank_correlation(clients[name], clients["gain"])
        told = (
            "none: all clients are alike in it"
            if value is None
            else f"{value:+.2f}".replace("-", "−")
        )
        lines.append(f"Rank correlation of gain and {words}: {told}")
    return lines


def _clients(clients: pd.DataFrame) -> Table:
    """Return a row a client, the lowest gain first."""
    ordered = clients.sort_values(["gain", "client"], kind="stable")
    heading = "Client"
    if len(ordered) > ROWS:
        half = ROWS // 2
        heading = f"{half} lowest and {half} highest"
        ordered = pd.concat([ordered[:half], ordered[-half:]])
    grouped = bool((clients["group"] != NO_GROUP).any())
    placed = not clients["coordinate_distance"].isna().any()
    heads = [heading, *(["Group"] if grouped else []), "Train", "Distance"]
    heads += [
        *(["Coordi-\nnates"] if placed else []),
        "Test accuracy",
        BASELINE.capitalize(),
        "Gain",
    ]
    made = table(*heads, "±", "")
    numbers_right(made, 1, -1)
    for row in ordered.to_dict("records"):
        client = label(row["client"], {row["client"]: row["name"]})
        cells = [client, *([str(row["group"])] if grouped else [])]
        cells += [_known(row["train"], ",.0f"), _known(row["distance"], ".3f")]
        cells += [_known(row["coordinate_distance"], ".3f")] if placed else []
        cells += [
            f"{row['accuracy']:.2%}",
            f"{row['baseline']:.2%}",
            percent(row["gain"], sign=True),
        ]
        mark = "hurt beyond error" if row["hurt_beyond_error"] else "hurt" if row["hurt"] else ""
        style = "red" if row["hurt_beyond_error"] else "yellow" if row["hurt"] else ""
        made.add_row(*map(literal, cells), f"{100 * row['error']:.2f}", mark, style=style)
    return made


def _known(value: float, form: str) -> str:
    return "–" if np.isnan(value) else f"{value:{form}}"
