"""Executors: where the cells of a matrix are run; the numbers do not depend on it."""

from __future__ import annotations

from pflbench.executors.base import Executor, Outcome, Watch, Work, do
from pflbench.executors.cells import run_cells
from pflbench.executors.choice import EXECUTORS, make_executor
from pflbench.executors.here import Here

__all__ = [
    "EXECUTORS",
    "Executor",
    "Here",
    "Outcome",
    "Watch",
    "Work",
    "do",
    "make_executor",
    "run_cells",
]
