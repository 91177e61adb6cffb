"""The table of methods × scenarios of a results folder, or of exactly a matrix's cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pflbench.analysis import Board, leaderboard, with_tuning
from pflbench.analysis import boards as boards_of
from pflbench.analysis.comparison_table import comparison_table
from pflbench.errors import InputError
from pflbench.experiments.grid.survey import Standing, survey
from pflbench.experiments.matrix_runs import matrix_from
from pflbench.experiments.tuning.chosen import requests_of
from pflbench.report.tables.paper_table import PaperTable, Spread
from pflbench.results import Store
from pflbench.results.tunings import studies_of
from pflbench.runs.identity import identify
from pflbench.runs.resolved_data import DataCache
from pflbench.schema.expressions import Expression
from pflbench.schema.numbers import whole_of
from pflbench.schema.paths import path_of

_NAMED = 3
"""Cells without a result that a message names."""


def table(
    results: Path | str = "results",
    *,
    matrix: Path | str | Mapping[str, Any] | None = None,
    metrics: str | Sequence[str] = "accuracy",
    spread: Spread = "std",
    scenarios: str | Sequence[str] = (),
    datasets: str | Sequence[str] = (),
    across: int | None = None,
    stage: Literal["personal", "global"] = "personal",
    data_dir: Path | str | None = None,
    fallback: bool = True,
) -> PaperTable:
    """Return methods × scenarios × metrics as a table for a paper.

    The best mean of a column is bold. Methods that are not told apart from it by the paired test
    over seeds are underlined: verdicts need five seeds.

    Parameters
    ----------
    results
        The results folder.
    matrix
        A TOML file (docs/matrix.md) or a mapping with the same keys: the table has exactly its
        cells, with the methods in its order, and each must be complete. None for all runs.
    metrics
        "accuracy", "worst-tenth", "worst-client", "by-samples", "last-round", "gain", "hurt",
        "nll", "brier", "ece", or the name of a plugin's metric.
    spread
        What follows a mean: its standard deviation over seeds ("std"), its 95 % t "interval", or
        "none".
    scenarios, datasets
        As of `pflbench.leaderboard`; not with a matrix.
    across
        Columns of numbers side by side in LaTeX, where others follow below; None for as many as an
        article's page of one column has room for.
    stage
        As of `pflbench.leaderboard`.
    data_dir, fallback
        As of `pflbench.run`: a matrix's cells are known by their data.

    Returns
    -------
    PaperTable
        With `to_latex`, `to_markdown`, `to_csv`, `to_text` and `to_frame`.

    Raises
    ------
    InputError
        A cell of the matrix has no complete run, a name is unknown, or the results have no
        complete run.

    Examples
    --------
    >>> import pflbench
    >>> made = pflbench.table("results", metrics=["accuracy", "worst-tenth"])  # doctest: +SKIP
    >>> print(made.to_latex())  # doctest: +SKIP
    """
    number = None if across is None else whole_of(across)
    if across is not None and (number is None or number < 1):
        raise InputError(f"across = {across!r} is not valid: expected a whole number ≥ 1.")
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    folder = path_of(results, "results")
    if matrix is None:
        boards = leaderboard(folder, scenarios=scenarios, datasets=datasets, stage=stage)
        return PaperTable(comparison_table(boards, names), spread, number)
    if scenarios or datasets:
        raise InputError("A matrix says which scenarios the table has: leave scenarios out.")
    chosen = matrix_boards(folder, matrix, stage=stage, data_dir=data_dir, fallback=fallback)
    made = comparison_table(chosen.boards, names, named=chosen.named, order=chosen.methods)
    return PaperTable(made, spread, number)


@dataclass(frozen=True)
class MatrixBoards:
    """The boards of exactly a matrix's cells.

    Attributes
    ----------
    boards
        In the order of the scenarios.
    named
        The method of each run, by id, as the matrix writes it.
    methods
        In the matrix's order.
    """

    boards: list[Board]
    named: Mapping[str, str]
    methods: list[str]


def matrix_boards(
    results: Path,
    matrix: Path | str | Mapping[str, Any],
    *,
    stage: Literal["personal", "global"] = "personal",
    data_dir: Path | str | None = None,
    fallback: bool = True,
) -> MatrixBoards:
    """Return the boards of exactly a matrix's cells.

    Raises
    ------
    InputError
        A cell has no complete run, or the matrix is not valid.
    """
    read = matrix_from(matrix)
    place = None if data_dir is None else path_of(data_dir, "data_dir")
    machine: dict[str, Any] = {"data_dir": place, "fallback": fallback}
    requests = requests_of(read, results, **machine)
    methods = [point.method for point in read.points()]
    written = [str(Expression(method.name, method.arguments)) for method in methods]
    cache = DataCache(steady=True)
    cells = [identify(request, cache=cache) for request in requests]
    named: dict[str, str] = {}
    for one, label in zip(cells, written, strict=True):
        named.setdefault(one.cell.id, label)
    standings = survey({one.cell.id: (one.cell, one.dataset) for one in cells}, Store(results))
    _refuse_missing(standings, named, results)
    runs = [standing.run for standing in standings if standing.run is not None]
    made = {board.scenario_id: board for board in boards_of(runs, stage=stage)}
    order = dict.fromkeys(one.cell.scenario.id for one in cells)
    boards = with_tuning([made[one] for one in order], studies_of(results))
    return MatrixBoards(boards, named, list(dict.fromkeys(written)))


def _refuse_missing(standings: Sequence[Standing], named: Mapping[str, str], folder: Path) -> None:
    """Refuse a table that would lack cells of its matrix.

    Raises
    ------
    InputError
        Some cells have no complete run.
    """
    lacking = [standing for standing in standings if standing.state != "done"]
    if not lacking:
        return
    shown = "; ".join(
        f"{named[one.run_id]} on {one.dataset}, seed {one.cell.seed} ({one.state})"
        for one in lacking[:_NAMED]
    )
    more = f"; and {len(lacking) - _NAMED:,} more" if len(lacking) > _NAMED else ""
    raise InputError(
        f"{len(lacking):,} of the matrix's {len(standings):,} cells have no complete run in "
        f"{folder}: {shown}{more}. Run them, or leave them out of the matrix; pflbench status "
        "lists them all."
    )
