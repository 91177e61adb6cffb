"""Runs on few real digits, stored once, and records made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pflbench
from pflbench.results import Store, StoredRun
from pflbench_datasets import embedded

METHODS = ("local", "fedavg", "fedavg-ft", "fedora", "pfedhn")
SMALL: dict[str, Any] = {
    "clients": 5,
    "partition": "quantity(alpha=2)",
    "rounds": 6,
    "eval_every": 2,
    "local_epochs": 2,
    "batch_size": 16,
    "lr": 0.05,
    "device": "cpu",
    "model": "mlp(hidden=16)",
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder: five methods and two seeds, on 572 real digits."""
    root = tmp_path_factory.mktemp("cost")
    pool = embedded.load("a test")
    x, y = pool.train_x[:4000:7, :, ::2, ::2], pool.train_y[:4000:7]
    np.savez(root / "digits.npz", x=x, y=y)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for seed in (0, 1):
        for method in METHODS:
            pflbench.run(
                method, f"npz:{root / 'digits.npz'}", results=root / "results", seed=seed, **SMALL
            )
    torch.set_num_threads(threads)
    return root / "results"


@pytest.fixture
def runs(folder: Path) -> dict[tuple[str, int], StoredRun]:
    """Return the runs by method and seed."""
    return {(run.cell["algorithm"]["name"], run.cell["seed"]): run for run in Store(folder).runs()}
