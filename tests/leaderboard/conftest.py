from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pflbench.results import Store, StoredRun
from pflbench.scenario import Cell, Choice, Scenario

Correct = Mapping[int, tuple[Sequence[int], Sequence[int]]]
MakeRun = Callable[..., StoredRun]


def scenario(**changes: Any) -> Scenario:
    values: dict[str, Any] = {
        "dataset": "mnist",
        "fingerprint": "3f2a9c10" + "0" * 56,
        "partition": Choice("rotated", {"step": 10.0, "train": None}),
        "clients": 4,
        "model": Choice("mlp", {}),
        "rounds": 30,
        "local_epochs": 5,
        "local_steps": None,
        "batch_size": 64,
        "lr": 5e-3,
        "momentum": 0.9,
        "weight_decay": 5e-5,
        "participation": 1.0,
        "eval_every": 10,
    }
    return Scenario(**{**values, **changes})


def metrics(correct: Correct, samples: Sequence[int]) -> pd.DataFrame:
    """A metrics table from the correct answers of each client: {round: (val, test)}."""
    return pd.DataFrame(
        [
            {
                "round": round,
                "client": client,
                "split": split,
                "stage": "personal",
                "samples": samples[client],
                "loss": 0.5,
                "correct": answers[client],
                "brier": 0.1,
                "ece": 0.05,
            }
            for round, both in correct.items()
            for split, answers in zip(("val", "test"), both, strict=True)
            for client in range(len(answers))
        ]
    )


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
