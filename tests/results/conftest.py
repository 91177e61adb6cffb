from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pflbench.results import Store
from pflbench.schema.scenario import Cell, Choice, Scenario


def make_cell(seed: int = 0, algorithm: str = "fedavg") -> Cell:
    scenario = Scenario(
        "mnist",
        "f" * 64,
        Choice("iid", {}),
        2,
        Choice("mlp", {}),
        10,
        5,
        None,
        64,
        0.005,
        0.9,
        5e-5,
        1.0,
        5,
    )
    return Cell(scenario, Choice(algorithm, {"mu": 0.01}, "1"), seed)


@pytest.fixture
def cell() -> Cell:
    return make_cell()


@pytest.fixture
def other_cell() -> Cell:
    return make_cell(seed=1)


@pytest.fixture
def cells() -> list[Cell]:
    return [make_cell(seed) for seed in range(4)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def store(root: Path) -> Store:
    return Store(root, create=True)


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    metrics = pd.DataFrame(
        {
            "round": [5, 5, 5, 5],
            "client": [0, 1, 0, 1],
            "split": ["val", "val", "test", "test"],
            "stage": "personal",
            "samples": 10,
            "loss": [0.1, float("nan"), 0.3, 0.4],
            "correct": [8, 7, 9, 6],
        }
    )
    rounds = pd.DataFrame({"round": [1, 2], "cohort": [[0, 1], [1]], "steps": [10, 5]})
    return {"metrics": metrics, "rounds": rounds}
