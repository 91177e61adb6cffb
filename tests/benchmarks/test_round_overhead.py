"""What a round costs besides its gradient steps: gathering, serving, evaluating, writing.

Run by name, on an otherwise idle machine: pytest -n 0 -s tests/benchmarks
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import pflbench
from pflbench.bench.workload import BUDGET, workload
from pflbench.engine.descent import Descent, HeadedDescent

CLIENTS, ROUNDS = 36, 40


def test_all_that_is_not_a_gradient_step_takes_little(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under 30 % of a FedAvg run with an evaluation every ten rounds, results written to disk.

    Half of it is gathering batches, and threads that wait for the interpreter.
    """
    spent: list[float] = []  # appending is atomic; the steps of each core are timed by themselves

    def timed(step: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any) -> Any:
            began = time.perf_counter()
            result = step(*arguments)
            spent.append(time.perf_counter() - began)
            return result

        return measured

    for kind in (Descent, HeadedDescent):
        monkeypatch.setattr(kind, "step", timed(kind.step))
    options = {"model": "mlp", "local_epochs": BUDGET.epochs, "batch_size": BUDGET.batch_size}
    federation = workload("mlp", CLIENTS).federation
    pflbench.run("fedavg", federation, rounds=2, **options)  # imports, first memory
    spent.clear()
    began = time.perf_counter()
    pflbench.run("fedavg", federation, rounds=ROUNDS, eval_every=10, results=tmp_path, **options)
    whole = time.perf_counter() - began
    steps = sum(spent) / torch.get_num_threads()
    print(f"{whole / ROUNDS:.3f} s a round, {1 - steps / whole:.1%} of it around the steps")
    assert len(spent) >= ROUNDS * 10
    assert steps >= 0.7 * whole
