"""pflbench: a benchmark suite for personalized federated learning."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import NoParameters, param, required
from pflbench.schema.shares import ShareOf
from pflbench.schema.specs import (
    AlgorithmSpec,
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ObserverSpec,
    OptimizerSpec,
    ParticipationSpec,
    PartitionerSpec,
    PopulationSpec,
    Reference,
    ScheduleSpec,
    SimilaritySpec,
)
from pflbench.version import __version__

if TYPE_CHECKING:
    from pflbench.analysis import Board, leaderboard
    from pflbench.engine import Simulated, simulate
    from pflbench.experiments.matrix_runs import CellOutcome, run_matrix
    from pflbench.experiments.matrix_tables import table
    from pflbench.federation import Federation
    from pflbench.method import Client, Server
    from pflbench.report.tables.paper_table import PaperTable
    from pflbench.runs import Agreement, Result, reproduce, run

__all__ = [
    "Agreement",
    "AlgorithmSpec",
    "Board",
    "CellOutcome",
    "Client",
    "DatasetSpec",
    "Federation",
    "MetricSpec",
    "ModelSpec",
    "NoParameters",
    "ObserverSpec",
    "OptimizerSpec",
    "PaperTable",
    "ParticipationSpec",
    "PartitionerSpec",
    "PopulationSpec",
    "Reference",
    "Result",
    "ScheduleSpec",
    "Server",
    "ShareOf",
    "SimilaritySpec",
    "Simulated",
    "__version__",
    "hookimpl",
    "leaderboard",
    "param",
    "reproduce",
    "required",
    "run",
    "run_matrix",
    "simulate",
    "table",
]

_LAZY = {
    "Agreement": "pflbench.runs",
    "Board": "pflbench.analysis",
    "CellOutcome": "pflbench.experiments.matrix_runs",
    "Client": "pflbench.method",
    "Federation": "pflbench.federation",
    "PaperTable": "pflbench.report.tables.paper_table",
    "Result": "pflbench.runs",
    "Server": "pflbench.method",
    "Simulated": "pflbench.engine",
    "leaderboard": "pflbench.analysis",
    "reproduce": "pflbench.runs",
    "run": "pflbench.runs",
    "run_matrix": "pflbench.experiments.matrix_runs",
    "simulate": "pflbench.engine",
    "table": "pflbench.experiments.matrix_tables",
}


def __getattr__(name: str) -> Any:
    """Import names that need torch only on first use."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'pflbench' has no attribute {name!r}")
