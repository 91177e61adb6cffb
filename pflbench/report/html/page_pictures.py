"""The pictures of a report, as markup inside its page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pflbench.analysis import Board, CriticalDifference, NotEnough, critical_difference
from pflbench.analysis.history import histories
from pflbench.analysis.protocol import BASELINE, FEWEST_DATA_SETS
from pflbench.errors import InputError
from pflbench.report.html.page_record import Panel, Pictures
from pflbench.report.pictures import (
    AGAINST,
    Look,
    banded,
    curves,
    gains,
    pareto,
    partition,
    partition_counts,
    ranks,
    spread,
    svg,
)
from pflbench.report.pictures.selection import of_seeds
from pflbench.results import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABS: Final = {"rounds": "Rounds", "bytes": "Bytes", "seconds": "Seconds"}

_HALF: Final = 4.0
"""Inches of a picture next to another: its font is then as large as the text."""

_CURVES: Final = (
    "Mean over clients and {seeds}{band}; a marker at the round that validation selects. Seconds "
    "are those of training, without evaluations."
)
_SPREAD: Final = "All clients of {seeds}, at the selected round: which clients the mean hides."
_GAINS: Final = (
    f"Accuracy of each client minus its own under {BASELINE} with the same seed, split and initial "
    "model, sorted; {seeds}."
)
_PARETO: Final = (
    "Bytes of whole runs, up and down, with the 95 % t interval of each method's accuracy over "
    "{seeds}; the dashed line is the Pareto front of the means: methods that no other method "
    "matches in accuracy with as few bytes."
)
_PARETO_OF_ONE: Final = (
    "Bytes of whole runs, up and down, of {seeds}, without intervals; the dashed line is the "
    "Pareto front: methods that no other method matches in accuracy with as few bytes."
)
_HELD: Final = ("client", "name", "split", "class", "samples")
"""Keys of equal partitions."""

_PARTITION: Final = "Training samples by client and class, of seed {seed}."
_RANKS: Final = (
    "Average ranks over data sets, averaged within a data set over its scenarios of different "
    "heterogeneity first. "
)
_BARS: Final = "A bar joins methods that are not told apart by Nemenyi's test."
_UNTESTED: Final = (
    "Scenarios of one data set are not independent, and fewer than {fewest} data sets are too few "
    "for a test, so none are told apart."
)


class Gallery:
    """Draws the pictures of one report.

    Parameters
    ----------
    store
        The store of the boards' runs.
    looks
        How each method is drawn, the same on all boards.
    """

    def __init__(self, store: Store, looks: Mapping[str, Look]) -> None:
        self.store = store
        self.looks = looks
        self._names = {look.number: look.label for look in looks.values()}
        self._drawn: dict[str, Board] = {}  # partitions, by their content

    def ranks(self, boards: Sequence[Board], prefix: str) -> Pictures:
        """Draw the ranks of methods over all scenarios, or say why they cannot be drawn."""
        found = critical_difference(boards)
        if isinstance(found, NotEnough):
            return Pictures("", "", absent=f"No ranks over scenarios: {found.reason}.")
        tested = isinstance(found, CriticalDifference)
        words = [
            _RANKS + (_BARS if tested else _UNTESTED.format(fewest=FEWEST_DATA_SETS)),
            f"They are {found.pool}.",
            *([f"Not on all of them: {', '.join(found.left_out)}."] if found.left_out else []),
        ]
        return self._set(
            "", " ".join(words), {"": lambda: ranks(found, self.looks, width=5.0)}, prefix
        )

    def of(self, board: Board, prefix: str) -> tuple[Pictures, ...]:
        """Draw all pictures of a board; ids within them begin with the prefix."""
        if not any(row.measures is not None for row in board.rows):
            return ()
        looks, half, seeds = self.looks, _HALF, of_seeds(board)
        alone = len(board.seeds) == 1
        beside: dict[str, tuple[str, str, Callable[[], Figure]]] = {
            "spread": (
                "Distribution over clients",
                _SPREAD.format(seeds=seeds),
                lambda: spread(board, looks, width=half),
            ),
            "gains": (
                f"Each client's gain over {BASELINE}",
                _GAINS.format(seeds=seeds),
                lambda: gains(board, looks, width=half),
            ),
            "pareto": (
                "Accuracy against communication",
                (_PARETO_OF_ONE if alone else _PARETO).format(seeds=seeds),
                lambda: pareto(board, looks, width=half),
            ),
        }
        return (
            self._curves(board, f"{prefix}-curves"),
            *(
                self._set(title, words, {"": draw}, f"{prefix}-{name}", wide=False)
                for name, (title, words, draw) in beside.items()
            ),
            self._partition(board, f"{prefix}-partition"),
        )

    def _curves(self, board: Board, prefix: str) -> Pictures:
        title = "Learning curves"
        try:
            runs = histories(board, self.store)
        except InputError as error:
            words = _CURVES.format(band="", seeds=of_seeds(board))
            return Pictures(title, words, absent=str(error))
        band = ", with the range over seeds" if banded(board) else ""
        words = _CURVES.format(band=band, seeds=of_seeds(board))
        draws: dict[str, Callable[[], Figure]] = {
            _TABS[x]: lambda x=x: curves(board, runs, self.looks, x=x, width="page")  # type: ignore[misc]
            for x in AGAINST
        }
        return self._set(title, words, draws, prefix)

    def _partition(self, board: Board, prefix: str) -> Pictures:
        """Draw a partition, or say where the page has drawn the same one."""
        title = "Partition"
        try:
            counts, seed = partition_counts(board, self.store)
        except InputError as error:
            return Pictures(title, "", absent=str(error), wide=False)
        ordered = counts.sort_values(["client", "split", "class"])
        text = ordered.to_csv(index=False, columns=[c for c in _HELD if c in ordered])
        first = self._drawn.setdefault(hashlib.sha256(text.encode()).hexdigest(), board)
        if first is not board:
            words = f"The same as that of {first.title}."
            return Pictures(title, "", absent=words, wide=False, section=first.scenario_id)
        draws = {"": lambda: partition(counts, width=_HALF)}
        return self._set(title, _PARTITION.format(seed=seed), draws, prefix, wide=False)

    def _set(
        self,
        title: str,
        words: str,
        draws: Mapping[str, Callable[[], Figure]],
        prefix: str,
        *,
        wide: bool = True,
    ) -> Pictures:
        """Draw a set of pictures by their tabs; say why, where one cannot be drawn."""
        panels, reasons = [], []
        for tab, draw in draws.items():
            own = f"{prefix}-{tab.lower()}" if tab else prefix
            told = ": ".join(part for part in (title, tab) if part)
            try:
                panels.append(Panel(tab, svg(draw(), own, words=told, names=self._names)))
            except InputError as error:
                reasons.append(str(error))
        return Pictures(title, words, tuple(panels), " ".join(dict.fromkeys(reasons)), wide)
