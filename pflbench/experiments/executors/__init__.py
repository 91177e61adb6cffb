"""Executors: where the cells of a matrix are run; the numbers do not depend on it."""

from __future__ import annotations

from pflbench.experiments.executors.cell_runs import run_cells
from pflbench.experiments.executors.choice import EXECUTORS, make_executor
from pflbench.experiments.executors.executor import Executor, Outcome, Watch, Work, do
from pflbench.experiments.executors.in_process import Here
from pflbench.experiments.executors.together import run_together

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
    "run_together",
]
