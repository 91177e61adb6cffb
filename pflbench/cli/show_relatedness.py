"""The output of `pflbench show relatedness`: the learnt relations of a run's clients."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from pflbench.analysis.relatedness_score import Truth, chance, neighbours_of, scores, truth_of
from pflbench.analysis.relatedness_tables import coordinates_of, matrices_of
from pflbench.analysis.row_names import installed_defaults, labels, title
from pflbench.cli.saved_picture import save_picture
from pflbench.errors import InputError
from pflbench.federation.skew import NO_GROUP
from pflbench.report.pictures.relatedness_picture import WORDS, Drawn, figure
from pflbench.report.pictures.saving import check_picture
from pflbench.report.terminal.relatedness_table import RelatednessPicture
from pflbench.report.terminal.screen import show, table
from pflbench.results import Store, StoredRun
from pflbench.results.client_labels import stored_names

_MEANING = {
    "relatedness_rank_correlation": "Spearman's, of a client's similarity to the others with "
    "their true closeness; mean over clients",
    "relatedness_precision": "share of a client's neighbours that are among its truly nearest",
    "relatedness_same_group": "share of a client's neighbours that are in its group",
}


def show_relatedness(run_id: str, results: Path, save: Path | None) -> None:
    """Print a run's graph, Π and scores; save a picture of them, if a file is named.

    Raises
    ------
    InputError
        The run does not exist, its server learnt no relations, or the picture's name is not valid.
    """
    if save is not None:
        check_picture(save)
    run = Store(results).named(run_id)
    run.check()
    drawn = _drawn(run)
    cell = run.typed_cell
    written = str(run.labels.get("dataset") or cell.scenario.dataset)
    show(
        Text(drawn.title, style="bold cyan"),
        Text(f"{title(written, cell.scenario)}, seed {cell.seed}", style="dim"),
        "",
        RelatednessPicture(drawn.found, drawn.truth, names=drawn.names),
        *([] if drawn.truth is None else [_scores(drawn, drawn.truth)]),
        width=140,
    )
    if drawn.truth is None:
        show(Text("The scenario does not know how its clients relate: nothing is scored."))
    save_picture(lambda: figure(drawn), save)


def _drawn(run: StoredRun) -> Drawn:
    if not run.has_table("relatedness"):
        raise InputError(
            f"Run {run.id} ({run.status}) of {run.cell['algorithm']['name']} holds no relatedness: "
            "expected a complete run of a method that learns how clients relate, such as fedora, "
            "among at most 2,000 clients."
        )
    found = matrices_of(run.table("relatedness"))
    coordinates = groups = None
    if run.has_table("coordinates"):
        coordinates = coordinates_of(run.table("coordinates"))
    if run.has_table("clients"):
        listed = run.table("clients", ("client", "group")).set_index("client")["group"]
        groups = listed.reindex(found.numbers).to_numpy()
        groups = None if (groups == NO_GROUP).any() else groups
    truth = truth_of(coordinates, groups)
    (name,) = labels([run.typed_cell.algorithm], installed_defaults)
    return Drawn(f"{name}, run {run.id}", found, truth, scores(found, truth), stored_names(run))


def _scores(drawn: Drawn, truth: Truth) -> Table:
    """Return a table of the scores, next to those of random neighbours."""
    counts = [len(neighbours_of(drawn.found, i)) for i in range(drawn.found.clients)]
    by_chance = chance(truth, max(counts))
    made = table("Against the truth", "Score", "By chance", "What it is")
    for key, value in drawn.scores.items():
        made.add_row(WORDS[key], f"{value:.3f}", f"{by_chance[key]:.3f}", _MEANING[key])
    return made
