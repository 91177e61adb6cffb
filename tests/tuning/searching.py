"""Searches of tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pflbench.experiments.executors import Here, Outcome, Watch, Work
from pflbench.experiments.grid import TuningPlan
from pflbench.experiments.tuning.search import tune
from pflbench.experiments.tuning.targets import targets
from pflbench.results.tunings import Study
from pflbench.runs.request import RunRequest

PLAN = TuningPlan(trials=3, rounds=1, extend=False)


def tune_all(requests: Sequence[RunRequest], results: Path, plan: TuningPlan = PLAN) -> list[Study]:
    with Here() as here:
        return tune(targets(requests, plan).values(), plan, results, here)


class Stopping(Here):
    """Is interrupted after some cells."""

    def __init__(self, after: int) -> None:
        self.left = after

    def run(self, works: Sequence[Work], watch: Watch) -> Iterator[Outcome]:
        for outcome in super().run(works, watch):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield outcome
