"""The pictures of `pflbench plot`, and their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pflbench.analysis import Board, critical_difference
from pflbench.analysis.history import histories
from pflbench.cli.session import warn
from pflbench.cli.show_run import select_boards
from pflbench.errors import InputError
from pflbench.report.pictures import (
    Against,
    Look,
    Split,
    curves,
    gains,
    looks,
    pareto,
    partition,
    partition_counts,
    ranks,
    spread,
)
from pflbench.report.pictures.saving import check_picture, save_figure
from pflbench.report.pictures.style import drawing_package, inches
from pflbench.results import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Wanted:
    """The options of a picture.

    Attributes
    ----------
    kind
        "curves", "spread", "gains", "pareto", "ranks" or "partition".
    x, split
        Of curves.
    width
        "column", "page" or inches.
    title
        Whether the scenario is written above.
    """

    kind: str
    x: Against
    split: Split
    width: str
    title: bool


def draw_all(
    wanted: Wanted,
    results: Path,
    scenarios: Sequence[str],
    datasets: Sequence[str],
    save: Path | None,
) -> list[Path]:
    """Draw a picture of each scenario, or one of all, and write them.

    Returns
    -------
    list[Path]
        The written files.

    Raises
    ------
    InputError
        Nothing can be drawn, several scenarios would be written into one file, the width or the
        file's name is not one, or matplotlib is not installed; nothing is written then.
    WorkError
        A file cannot be written.
    """
    inches(wanted.width)
    drawing_package()
    if save is not None:
        check_picture(save)
    boards = select_boards(results, scenarios, datasets)
    if not boards:
        raise InputError(f"{results} has no runs: nothing to draw.")
    # of all runs in the folder, so that a method looks the same in any selection
    seen = looks(select_boards(results, (), ()) if scenarios or datasets else boards)
    if wanted.kind == "ranks":
        figure = _ranks(wanted, boards, seen)
        return [_written(figure, save or Path("ranks.pdf"))]
    if save is not None and len(boards) > 1:
        listed = ", ".join(f"{board.scenario_id} ({board.title})" for board in boards)
        raise InputError(
            f"{len(boards)} scenarios have results and {save} holds one picture: choose one with "
            f"--scenario from {listed}; or leave --save out, for a file each."
        )
    figures, reasons = _figures(wanted, boards, seen, Store(results))
    if not figures:
        raise reasons[0]
    for reason in reasons:
        warn(f"Notice: {reason}")
    for board in boards:
        _tell_left_out(board, wanted.kind)
    return [
        _written(figure, save or Path(f"{wanted.kind}-{scenario}.pdf"))
        for scenario, figure in figures.items()
    ]


def _ranks(wanted: Wanted, boards: Sequence[Board], seen: Mapping[str, Look]) -> Figure:
    found = critical_difference(boards)
    title = "Average ranks over data sets" if wanted.title else ""
    return ranks(found, seen, width=wanted.width, title=title)


def _figures(
    wanted: Wanted, boards: Sequence[Board], seen: Mapping[str, Look], store: Store
) -> tuple[dict[str, Figure], list[InputError]]:
    """Return figures by scenario, and why others are missing."""
    figures: dict[str, Figure] = {}
    reasons: list[InputError] = []
    for board in boards:
        try:
            figures[board.scenario_id] = _figure(wanted, board, seen, store)
        except InputError as error:
            reasons.append(error)
    return figures, reasons


def _figure(wanted: Wanted, board: Board, seen: Mapping[str, Look], store: Store) -> Figure:
    width, title = wanted.width, board.title if wanted.title else ""
    if wanted.kind == "curves":
        runs = histories(board, store)
        return curves(board, runs, seen, x=wanted.x, split=wanted.split, width=width, title=title)
    if wanted.kind == "partition":
        counts, seed = partition_counts(board, store)
        return partition(counts, width=width, title=f"{title}, seed {seed}" if title else "")
    draw: dict[str, Callable[..., Figure]] = {"spread": spread, "gains": gains, "pareto": pareto}
    return draw[wanted.kind](board, seen, width=width, title=title)


def _tell_left_out(board: Board, kind: str) -> None:
    """Print which rows a picture leaves out, since a mean is never over a part of the runs."""
    if kind != "partition" and any(row.measures is not None for row in board.rows):
        for row in board.rows:
            if row.measures is None:
                warn(f"Notice: {row.label} is not drawn: {row.reason}.")


def _written(figure: Figure, path: Path) -> Path:
    save_figure(lambda: figure, path)
    return path
