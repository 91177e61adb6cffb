"""A cell is resolved once, with the registry that it was asked with."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from pflbench import Federation, run_matrix
from pflbench.method import Message, Rows, Samples, Setup, Similarity, Task
from pflbench.results import Store
from pflbench.runs import Observer, Result, RunRequest, execute, plan, reproduce
from pflbench.schema import plugins
from pflbench.schema.specs import ObserverSpec, SimilaritySpec

ROOT = Path(__file__).resolve().parents[2]
SHORT: dict[str, Any] = {"rounds": 2, "local_steps": 1, "model": "mlp(hidden=4)", "device": "cpu"}


class Alike(Similarity):
    """Takes all clients for equally alike, and counts how often it is made."""

    made: ClassVar[Counter[str]] = Counter()

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.made["similarity"] += 1

    def describe(self, data: Samples, task: Task) -> Message:
        return {"one": torch.ones(1)}

    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        return told

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        return some["one"] @ others["one"].T


class Listener(Observer):
    """Counts the runs that end."""

    def finished(self, result: Result) -> None:
        Alike.made["finished"] += 1


def own_registry() -> plugins.Registry:
    return plugins.installed().joined_by(
        "of the test",
        [
            SimilaritySpec("alike", "all alike", f"{__name__}:Alike", "Nothing."),
            ObserverSpec("listener", "counts", f"{__name__}:Listener"),
        ],
    )


def points(path: Path) -> Path:
    """Write samples that no client has yet."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    np.savez(path, x=rng.normal(size=(200, 5)).astype(np.float32) + y[:, None], y=y)
    return path


def calls_of(names: tuple[str, ...], call: Callable[[], None]) -> Counter[str]:
    """Count the calls of functions of `pflbench.runs`, each "module.function"."""
    found: Counter[str] = Counter()

    def heard(frame: FrameType, event: str, _: object) -> None:
        name = f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"
        if event == "call" and name in names:
            found[name] += 1

    sys.setprofile(heard)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.slow
def test_each_cell_of_a_matrix_is_resolved_once(tmp_path: Path) -> None:
    data = points(tmp_path / "points.npz")
    scenario = {"dataset": f"npz:{data}", "partition": "iid", "clients": 4, **SHORT}
    device = scenario.pop("device")
    matrix = {"methods": ["local", "fedavg"], "seeds": [0, 1], "scenario": scenario}

    def call() -> None:
        outcomes = run_matrix(matrix, results=tmp_path / "results", device=device)
        assert [one.status for one in outcomes] == ["complete"] * 4

    found = calls_of(("data.resolve_data", "identity.read", "resolved_data._load"), call)
    assert found == {"identity.read": 4, "data.resolve_data": 4, "resolved_data._load": 1}


def test_a_plan_has_the_registry_of_its_request(tmp_path: Path, federation: Federation) -> None:
    """Of a plugin that a parameter names, of observers, and when it is run again."""
    registry = own_registry()
    Alike.made.clear()
    request = RunRequest("fedora", federation, parameters={"similarity": "alike"}, **SHORT)
    planned = plan(request, registry)
    assert planned.cell.algorithm.parameters["similarity"] == "alike"
    execute(planned, Store(tmp_path / "results", create=True))
    assert Alike.made == {"similarity": 2, "finished": 1}


def test_a_run_is_reproduced_with_another_registry(tmp_path: Path) -> None:
    data = points(tmp_path / "points.npz")
    request = RunRequest(
        "fedora",
        f"npz:{data}",
        partition="iid",
        clients=4,
        parameters={"similarity": "alike"},
        **SHORT,
    )
    result = execute(plan(request, own_registry()), Store(tmp_path / "results", create=True))
    again = reproduce(result.run_id, results=tmp_path / "results", registry=own_registry())
    assert again.exact


def test_the_way_from_a_request_to_its_plan_is_short() -> None:
    """At most a third of the 789 stays that it had when a cell was resolved three times."""
    spec = importlib.util.spec_from_file_location("stays", ROOT / "tools" / "stays.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    stays = tool.from_request_to_plan()  # of the package under test: installed, or this folder's
    assert {"runs/planning.py", "schema/scenario.py"} <= set(stays)
    assert len(stays) <= 789 // 3
