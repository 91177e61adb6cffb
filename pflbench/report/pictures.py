"""The pictures of a report, as markup that stands in its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pflbench.leaderboard import Board
from pflbench.leaderboard.significance import NotEnough, critical_difference
from pflbench.pictures import AGAINST, Look, curves, histories, svg
from pflbench.report.record import Panel, Pictures
from pflbench.results import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABS = {"rounds": "Rounds", "bytes": "Bytes", "seconds": "Seconds"}


class Gallery:
    """Draws the pictures of one report.

    Parameters
    ----------
    store
        Where the boards' runs lie.
    looks
        How each method is drawn, the same on all boards.
    """

    def __init__(self, store: Store, looks: Mapping[str, Look]) -> None:
        self.store = store
        self.looks = looks
        self._names = {look.number: look.label for look in looks.values()}

    def of(self, board: Board, prefix: str) -> tuple[Pictures, ...]:
        """Draw all pictures of a board; ids within them begin with the prefix."""
        if not any(row.measures is not None for row in board.rows):
            return ()
        return (self._curves(board, prefix),)

    def ranks(self, boards: Sequence[Board], prefix: str) -> Pictures:
        """Draw how methods rank over all scenarios, or say why that cannot be said."""
        found = critical_difference(boards)
        if isinstance(found, NotEnough):
            return Pictures("", "", absent=f"No critical-difference diagram: {found.reason}.")
        return Pictures("", "")

    def _curves(self, board: Board, prefix: str) -> Pictures:
        runs = histories(board, self.store)
        panels = tuple(
            self._panel(
                _TABS[x],
                curves(board, runs, self.looks, x=x, width="page"),
                f"{prefix}-curves-{x}",
                f"Test accuracy of each method against {x}.",
            )
            for x in AGAINST
        )
        return Pictures("Learning curves", "", panels)

    def _panel(self, tab: str, figure: Figure, prefix: str, words: str) -> Panel:
        return Panel(tab, svg(figure, prefix, words=words, names=self._names))
