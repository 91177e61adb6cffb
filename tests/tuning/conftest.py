"""Few real digits, cut among four clients."""

from __future__ import annotations

import numpy as np
import pytest

from pflbench.runs.request import RunRequest
from pflbench_datasets import embedded


@pytest.fixture(autouse=True)
def _on_one_core(one_thread: None) -> None:
    """Tiny tensors gain nothing from a second core."""


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> str:
    pool = embedded.load("a test")
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, x=pool.train_x[:4000:10, :, ::2, ::2], y=pool.train_y[:4000:10])
    return f"npz:{path}"


@pytest.fixture
def requests(digits: str) -> list[RunRequest]:
    """Two methods with two seeds: the seeds of one method share a study."""
    return [
        RunRequest(method, digits, partition="iid", clients=4, rounds=4, eval_every=2, seed=seed)
        for method in ("fedprox", "local")
        for seed in (0, 1)
    ]
