"""No number depends on how many threads there are: neither PyTorch's nor the jobs' on cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from other_processes import PATIENCE

METHODS = ("local", "fedavg", "fedavg-ft", "fedprox", "fedora", "pfedhn", "pfedhn-pc")
CELLS = [
    *((method, "mlp", engine) for method in METHODS for engine in ("stacked", "sequential")),
    ("fedavg", "lenet", "stacked"),
    ("fedavg", "lenet", "sequential"),
]

PROGRAM = """
import hashlib, json, sys
import pandas as pd, torch

torch.set_num_threads(int(sys.argv[1]))
import pflbench
from pflbench.engine import threads as pool

found, cores, side_by_side = {}, set(), pool.side_by_side

def watched(jobs, many):
    cores.add(many)
    return side_by_side(jobs, many)

from pflbench.engine import sequential, stacked
sequential.side_by_side = stacked.side_by_side = watched
for method, model, engine in json.loads(sys.argv[2]):
    run = pflbench.run(
        method, "mnist", model=model, engine=engine, clients=6, rounds=1, local_steps=2,
        device="cpu",
    )
    for name in ("metrics", "rounds", "messages"):
        table = getattr(run, name)
        table = table[[c for c in table if not c.endswith(("_seconds", "memory_bytes"))]]
        bits = pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()
        found[f"{method} {model} {engine} {name}"] = hashlib.sha256(bits).hexdigest()
print(json.dumps({"tables": found, "cores": max(cores), "after": torch.get_num_threads()}))
"""


def computed(threads: int) -> subprocess.Popen[str]:
    """Start the cells in a process of its own with so many threads."""
    env = {name: value for name, value in os.environ.items() if name != "PFLBENCH_DATA"}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(threads), json.dumps(CELLS)],
        stdout=subprocess.PIPE,
        text=True,
        env={**env, "OMP_NUM_THREADS": str(threads)},
    )


@pytest.mark.slow
def test_the_same_bits_on_any_number_of_threads() -> None:
    one, *others = told((1, 2, 3))
    assert one["cores"] == 1
    assert len(one["tables"]) == 3 * len(CELLS)
    for threads, other in zip((2, 3), others, strict=True):
        assert other["tables"] == one["tables"]
        assert other["cores"] == threads, "nothing was done side by side"
        assert other["after"] == threads, "the caller's number of threads was changed"


def told(many: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return what each number of threads gives, all at once."""
    started = [computed(threads) for threads in many]
    try:
        return [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
