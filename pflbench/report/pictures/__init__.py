"""Pictures for papers and pages, drawn from boards and the stored runs behind them.

Each function returns a `matplotlib.figure.Figure` and touches no state of pyplot's.
"""

from __future__ import annotations

from pflbench.report.pictures.curves import AGAINST, Against, Split, banded, curves
from pflbench.report.pictures.gains import gains
from pflbench.report.pictures.looks import Look, looks
from pflbench.report.pictures.pareto import pareto
from pflbench.report.pictures.partition_picture import partition, partition_counts
from pflbench.report.pictures.ranks import ranks
from pflbench.report.pictures.spread import spread
from pflbench.report.pictures.style import WIDTHS, Width
from pflbench.report.pictures.svg import svg, variables

__all__ = [
    "AGAINST",
    "WIDTHS",
    "Against",
    "Look",
    "Split",
    "Width",
    "banded",
    "curves",
    "gains",
    "looks",
    "pareto",
    "partition",
    "partition_counts",
    "ranks",
    "spread",
    "svg",
    "variables",
]
