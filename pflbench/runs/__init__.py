"""Runs: from a request to a stored result."""

from pflbench.runs.data import source
from pflbench.runs.distributed import joined
from pflbench.runs.execution import execute
from pflbench.runs.observer import Evaluation, Observer, Progress, RunInfo
from pflbench.runs.one_run import run
from pflbench.runs.planning import PlannedRun, plan
from pflbench.runs.reproduction import Agreement, reproduce
from pflbench.runs.request import RunRequest
from pflbench.runs.resolved_data import ResolvedData
from pflbench.runs.result import Result

__all__ = [
    "Agreement",
    "Evaluation",
    "Observer",
    "PlannedRun",
    "Progress",
    "ResolvedData",
    "Result",
    "RunInfo",
    "RunRequest",
    "execute",
    "joined",
    "plan",
    "reproduce",
    "run",
    "source",
]
