"""Stored runs in the making, for tests of leaderboards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from pflbench.results import StoredRun
from pflbench.schema.scenario import Choice, Scenario

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
