from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from stored_runs import Correct, MakeRun, metrics, scenario

from pflbench.results import Store, StoredRun
from pflbench.schema.scenario import Cell, Choice, Scenario


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results", create=True)


@pytest.fixture
def make_run(store: Store) -> MakeRun:
    """Store a run; it ends as `correct`, or `failure`, says, or stays unfinished."""

    def make(
        algorithm: str,
        seed: int,
        correct: Correct | None,
        *,
        samples: Sequence[int] = (10, 10, 10, 10),
        parameters: Mapping[str, Any] | None = None,
        failure: Mapping[str, Any] | None = None,
        of: Scenario | None = None,
        labels: Mapping[str, Any] | None = None,
        summary: Mapping[str, Any] | None = None,
    ) -> StoredRun:
        cell = Cell(of or scenario(), Choice(algorithm, parameters or {}, "1"), seed)
        command = f"pflbench run --algo {algorithm} --dataset mnist --seed {seed}"
        shown = {"dataset": "mnist", "command": command, **(labels or {})}
        with store.open(cell.to_json(), shown, {}) as writer:
            if correct is not None:
                costs = {"local_steps": 1000, "bytes_up": 2e6, "bytes_down": 3e6, "seconds": 1.5}
                partition = pd.DataFrame(
                    {"client": [0, 0, 0], "split": ["train", "val", "test"], "class": 0}
                ).assign(samples=[4608, 2304, 9972])
                tables = {"metrics": metrics(correct, samples), "partition": partition}
                return writer.complete(tables, {**costs, **(summary or {})})
            if failure is not None:
                return writer.fail({}, failure)
        found = store.get(cell.id)
        assert found is not None
        return found

    return make
