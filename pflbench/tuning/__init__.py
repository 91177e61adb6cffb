"""Equal tuning: the same number of trials for every method, selected on validation."""

from __future__ import annotations

from pflbench.tuning.search import tune
from pflbench.tuning.targets import Target, targets
from pflbench.tuning.tuned import tuned

__all__ = ["Target", "targets", "tune", "tuned"]
