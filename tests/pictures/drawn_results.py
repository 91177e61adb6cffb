"""A results folder with its boards and looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pflbench.analysis import Board, boards
from pflbench.report.pictures import Look, looks
from pflbench.results import Store

PUBLISHED = Path(__file__).parents[2] / "results" / "published"


@dataclass(frozen=True)
class Drawn:
    """A results folder, its boards, and their looks."""

    store: Store
    boards: list[Board]
    looks: dict[str, Look]

    @property
    def board(self) -> Board:
        """The only board."""
        (board,) = self.boards
        return board


def opened(root: Path) -> Drawn:
    store = Store(root)
    made = boards(store.runs())
    return Drawn(store, made, looks(made))
