"""Pictures for papers and pages, drawn from boards and the stored runs behind them.

Each function returns a `matplotlib.figure.Figure` and touches no state of pyplot's.
"""

from __future__ import annotations

from pflbench.pictures.curves import AGAINST, Against, Split, banded, curves
from pflbench.pictures.gains import gains
from pflbench.pictures.history import History, histories
from pflbench.pictures.looks import Look, looks
from pflbench.pictures.pareto import pareto
from pflbench.pictures.partition import partition, partition_counts
from pflbench.pictures.ranks import ranks
from pflbench.pictures.spread import spread
from pflbench.pictures.style import WIDTHS, Width
from pflbench.pictures.svg import svg, variables

__all__ = [
    "AGAINST",
    "WIDTHS",
    "Against",
    "History",
    "Look",
    "Split",
    "Width",
    "banded",
    "curves",
    "gains",
    "histories",
    "looks",
    "pareto",
    "partition",
    "partition_counts",
    "ranks",
    "spread",
    "svg",
    "variables",
]
