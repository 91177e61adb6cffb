"""Fills the tables of docs/studies/comparison.md: python studies/comparison.py.

The runs are in `results/tuned`; their matrices are in `results/matrices`. All methods have equal
tuning. A test checks that the page matches this script.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pages

from pflbench.analysis import (
    Board,
    MeanRanks,
    PairedTest,
    Row,
    Spent,
    boards,
    critical_difference,
    paired_tests,
    with_tuning,
)
from pflbench.analysis.marks import EDGE_MARK
from pflbench.report.tables.entries import mean, points, spread, standing
from pflbench.results import Store
from pflbench.results.tuning_edges import edges
from pflbench.results.tunings import Study, of_scenario, studies_of

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "studies" / "comparison.md"
RUNS = ROOT / "results" / "tuned"

METHODS = ("local", "fedavg", "fedavg-ft", "fedprox", "fedora", "pfedhn", "pfedhn-pc")
NAMES = {"mnist": "MNIST", "fashion-mnist": "Fashion"}


@cache
def tuned() -> tuple[Board, ...]:
    """Return the boards whose methods are tuned."""
    found = with_tuning(boards(Store(RUNS).runs()), studies_of(RUNS))
    assert len({row.tuned for board in found for row in board.rows}) == 1  # alike
    return tuple(found)


def short(board: Board) -> str:
    """Name a board in a column's head."""
    return f"{NAMES[board.scenario['dataset']]} {board.scenario['partition']['name']}"


def headed(board: Board) -> str:
    """Name a board in the head of a column of means, with their number of seeds."""
    return f"{short(board)}, {len(board.seeds)} seeds"


def row_of(board: Board, method: str) -> Row:
    """Return a method's only row."""
    (row,) = (row for row in board.rows if row.algorithm == method)
    return row


def accuracy() -> str:
    """Write the accuracy of every method: the headline of every board."""
    rows = []
    for method in METHODS:
        cells = []
        for board in tuned():
            row = row_of(board, method)
            if row.measures is None:
                cells.append("–")
                continue
            text = spread(row.measures.test_accuracy, row.measures.test_std, pages.points)
            text += "" if row.rank is None else f" ({standing(row)})"
            cells.append(f"**{text}**" if row.leads else text)
        rows.append([method, *cells])
    return pages.table(["method", *map(headed, tuned())], rows)


def hurt() -> str:
    """Write the share of hurt clients: below local, and by more than one standard error."""
    rows = []
    for method in METHODS[1:]:
        cells = []
        for board in tuned():
            row = row_of(board, method)
            m = row.measures
            if m is None or m.hurt is None or m.hurt_beyond_error is None:
                cells.append("–")
            else:
                share = spread(m.hurt, row.deviations.get("hurt"), pages.points)
                cells.append(f"{share} ({pages.points(m.hurt_beyond_error)})")
        rows.append([method, *cells])
    return pages.table(["method", *map(headed, tuned())], rows)


def between(board: Board, first: str, second: str) -> PairedTest | None:
    """Return the paired test of two methods on a board."""
    names = row_of(board, first).label, row_of(board, second).label
    for test in paired_tests(board):
        if (test.first, test.second) == names:
            return test
        if (test.second, test.first) == names:
            return test.turned()
    return None


def duel(first: str, second: str) -> str:
    """Write whether two methods are told apart, for every board."""
    rows = []
    for board in tuned():
        test = between(board, first, second)
        if test is None:
            rows.append([short(board), "–", "–", "–", "–"])
            continue
        found = points(test.mean_difference, test.low, test.high, digits=1)
        rows.append([short(board), str(test.seeds), found, small(test.p_holm), test.verdict])
    return pages.table(["board", "seeds", f"{first} minus {second}", "p, Holm", "verdict"], rows)


def small(p: float) -> str:
    """Write a p value; a dash if it is missing."""
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def ranks() -> str:
    """Write the ranks of methods over boards."""
    found = critical_difference(tuned())
    assert isinstance(found, MeanRanks)
    rows = [
        [method, f"{rank:.2f}"]
        for method, rank in zip(found.methods, found.average_ranks, strict=True)
    ]
    return "\n\n".join(
        [pages.table(["method", "average rank"], rows), f"{found.extent}; {found.pool}."]
    )


def cost(name: str) -> str:
    """Write the cost of a method on one board, in a whole run."""
    (board,) = (board for board in tuned() if short(board) == name)
    rows = []
    for method in METHODS:
        row = row_of(board, method)
        m, spent = row.measures, row.spent
        if m is None:
            continue
        steps = number(m.local_steps) + (f" + {m.adapt_steps:,.0f}" if m.adapt_steps else "")
        rows.append(
            [
                method,
                str(len(row.seeds)),
                spread(m.test_accuracy, m.test_std, pages.points),
                number(m.bytes_up, 1e6),
                number(m.bytes_down, 1e6),
                steps,
                taken(spent, "client_seconds"),
                taken(spent, "server_seconds"),
            ]
        )
    head = [
        "method",
        "seeds",
        "accuracy",
        "MB up",
        "MB down",
        "local steps",
        "client s",
        "server s",
    ]
    return pages.table(head, rows)


def taken(spent: Spent, name: str) -> str:
    """Write seconds: mean over seeds and standard deviation."""
    seconds = partial(number, digits=1)
    return spread(getattr(spent, name), spent.deviations.get(name), seconds)


def number(value: float | None, unit: float = 1, digits: int = 0) -> str:
    """Write a number in a unit; a dash if it was not recorded."""
    return "–" if value is None else f"{value / unit:,.{digits}f}"


def settings() -> str:
    """Write the best settings of tuning, and their gain on validation."""
    studies = studies_of(RUNS)
    rows = []
    for board in tuned():
        for study in sorted(of_scenario(studies, board.scenario), key=_place):
            best, default = study.best, study.trials[0]
            if best is None:
                continue
            failed = sum(trial.state == "failed" for trial in study.trials)
            ends = {edge.name for edge in edges(study)}
            rows.append(
                [
                    short(board),
                    study.algorithm,
                    "–" if default.value is None else pages.points(default.value),
                    pages.points(best.value or 0.0),
                    ", ".join(
                        f"{name} {value:g}{f' {EDGE_MARK}' if name in ends else ''}"
                        for name, value in best.parameters.items()
                        if value is not None
                    ),
                    f"{len(study.trials)}" + (f" ({failed} failed)" if failed else ""),
                ]
            )
    return pages.table(["board", "method", "default", "best", "best setting", "trials"], rows)


def _place(study: Study) -> int:
    return METHODS.index(study.algorithm)


def optimism() -> str:
    """Write how much selecting the round on test would flatter."""
    rows = []
    for method in METHODS:
        rows.append([method, *(mean("optimism")(row_of(board, method)) for board in tuned())])
    return pages.table(["method", *map(headed, tuned())], rows)


def tables() -> dict[str, Callable[[], str]]:
    """Return the page's tables by name."""
    return {
        "accuracy": accuracy,
        "ranks": ranks,
        "hurt": hurt,
        "fedora_local": lambda: duel("fedora", "local"),
        "fedora_ft": lambda: duel("fedora", "fedavg-ft"),
        "cost_rotated": lambda: cost("MNIST rotated"),
        "cost_dirichlet": lambda: cost("MNIST dirichlet"),
        "settings": settings,
        "optimism": optimism,
    }


if __name__ == "__main__":
    PAGE.write_text(pages.filled(PAGE.read_text(), tables()))
