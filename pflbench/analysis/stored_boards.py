"""From a results folder to its leaderboards: the door for Python, and for every command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pflbench.analysis.board import Board
from pflbench.analysis.costs import Question
from pflbench.analysis.further_metrics import score_of
from pflbench.analysis.make_boards import boards
from pflbench.analysis.tuning_notes import with_tuning
from pflbench.errors import InputError, UnknownNameError
from pflbench.results import Store, StoredRun
from pflbench.results.measures import GLOBAL, PERSONAL
from pflbench.results.run_lookup import the_one
from pflbench.results.tunings import studies_of
from pflbench.schema.numbers import number_of
from pflbench.schema.paths import path_of

if TYPE_CHECKING:
    from pflbench.analysis.network import NamedNetwork


def leaderboard(
    results: Path | str = "results",
    *,
    scenarios: str | Sequence[str] = (),
    datasets: str | Sequence[str] = (),
    target: float | None = None,
    network: str | None = None,
    score: str = "accuracy",
    stage: Literal["personal", "global"] = "personal",
) -> list[Board]:
    """Return the leaderboards of a results folder, one for each scenario.

    Parameters
    ----------
    results
        The folder.
    scenarios
        Ids of scenarios, or their first digits: only these boards, in this order.
    datasets
        Names of data sets: only boards of these.
    target
        Validation accuracy in (0, 1]; the boards then have the cost of reaching it.
    network
        "lte", "mobile-5g", "broadband", "lan" or "link(down=50, up=10)"; the boards then have the
        time that messages and steps take over it.
    score
        The metric of a plugin that orders and ranks the rows, in the direction that its record
        says.
    stage
        "global" for the models of all clients of methods that have one besides the personal models,
        or before adaptation.

    Returns
    -------
    list[Board]
        Ordered by title; `Board.to_frame` has every number of one.

    Raises
    ------
    InputError
        The folder, scenario, data set or score does not exist, or a run in the folder is damaged.

    Examples
    --------
    >>> import pflbench
    >>> for board in pflbench.leaderboard("results"):  # doctest: +SKIP
    ...     print(board.title, board.to_frame()[["method", "test_accuracy"]])
    """
    number = None if target is None else number_of(target)
    if target is not None and (number is None or not 0 < number <= 1):
        raise InputError(f"target = {target!r} is not valid: expected a number > 0 and ≤ 1.")
    if stage not in (PERSONAL, GLOBAL):
        raise UnknownNameError("stage", stage, (PERSONAL, GLOBAL))
    folder = path_of(results, "results")
    question = Question(number, None if network is None else _network(network))
    runs = Store(folder).runs()
    names = set(_several(datasets))
    known = {name for run in runs for name in _dataset_names(run)}
    for name in sorted(names):
        if name not in known:
            raise UnknownNameError("data set with results", name, known)
    chosen = [run for run in runs if not names or names & _dataset_names(run)]
    by = score_of(score, chosen)
    made = with_tuning(boards(chosen, question=question, score=by, stage=stage), studies_of(folder))
    starts = _several(scenarios)
    if not starts:
        return made
    by_id = {board.scenario_id: board for board in made}
    ids = dict.fromkeys(the_one(start, by_id, "scenario") for start in starts)
    return [by_id[one] for one in ids]


def _several(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _network(text: str) -> NamedNetwork:
    from pflbench.analysis.network import read_network  # imports pandas, so only when needed

    return read_network(text)


def _dataset_names(run: StoredRun) -> set[str]:
    """Both names of a run's data set: as written (npz:PATH) and as registered (npz)."""
    return {run.cell["scenario"]["dataset"], str(run.labels.get("dataset", ""))} - {""}
