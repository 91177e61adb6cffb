"""What a run reports of itself: its gradient steps, its memory, and what its observers do to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

import pflbench
from pflbench import AlgorithmSpec, Federation, ModelSpec, PartitionerSpec, hookimpl
from pflbench.method import Client
from pflbench.results import Store
from pflbench.runs import Observer, Progress, RunRequest, plan
from pflbench.runs.environment import forget_peak_memory, peak_memory
from pflbench.schema import plugins


class TwoGradients(Client[None]):
    """Computes a gradient before the one that it steps with."""

    gradients_per_step = 2


class Brings:
    """A plugin with a method, a model and a partitioner of some version."""

    def __init__(self, version: str = "") -> None:
        self.version = version

    @hookimpl
    def pflbench_algorithms(self) -> list[AlgorithmSpec]:
        return [
            AlgorithmSpec(
                "two-gradients",
                "counts double",
                client=f"{__name__}:TwoGradients",
                server="pflbench.method:AveragingServer",
            )
        ]

    @hookimpl
    def pflbench_models(self) -> list[ModelSpec]:
        from pflbench.models import Mlp

        return [
            ModelSpec(
                "own-mlp",
                "an mlp",
                "pflbench.models.networks:build_mlp",
                "layer_output.",
                Mlp,
                version=self.version,
            )
        ]

    @hookimpl
    def pflbench_partitioners(self) -> list[PartitionerSpec]:
        return [
            PartitionerSpec(
                "own-iid",
                "iid",
                "pflbench.federation.partitioners.iid:IidPartitioner",
                version=self.version,
            )
        ]


def test_a_step_of_two_gradients_counts_twice(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = plugins.load(extra={"own": Brings()})
    monkeypatch.setattr(plugins, "installed", lambda: registry)
    twice = pflbench.run("two-gradients", federation, rounds=2)
    once = pflbench.run("fedavg", federation, rounds=2)
    assert twice.summary["local_steps"] == 2 * once.summary["local_steps"] > 0
    assert twice.summary["test_accuracy"] == once.summary["test_accuracy"]


@pytest.mark.parametrize("what", [{"model": "own-mlp"}, {"partition": "own-iid"}])
def test_the_version_of_a_model_or_partitioner_is_part_of_the_identity(
    what: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((60, 4), "f4"), y=np.arange(60) % 3)
    ids = []
    for version in ("", "2", "2"):
        registry = plugins.load(extra={"own": Brings(version)})
        request = RunRequest("fedavg", f"npz:{path}", clients=3, **{"partition": "iid", **what})
        ids.append(plan(request, registry).cell.id)
    assert ids[0] != ids[1] == ids[2]


class Breaks(Observer):
    """A tracker that is down."""

    def __init__(self) -> None:
        self.told = 0

    def round_done(self, progress: Progress) -> None:
        self.told += 1
        raise ConnectionError("the tracker is down")


def test_an_observer_that_fails_ends_no_run(federation: Federation, results: Path) -> None:
    broken = Breaks()
    with pytest.warns(UserWarning, match="Breaks failed at 'round_done'.*the tracker is down"):
        pflbench.run("fedavg", federation, rounds=3, results=results, observers=[broken])
    assert broken.told == 1
    assert [run.status for run in Store(results).runs()] == ["complete"]


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak on request"
)
def test_a_peak_of_memory_is_the_run_s_own(federation: Federation) -> None:
    import torch

    cpu = torch.device("cpu")
    big: Tensor | None = torch.ones(100_000_000)
    before = peak_memory(cpu)
    del big
    forget_peak_memory(cpu)
    run = pflbench.run("local", federation, rounds=1)
    assert run.rounds["peak_memory_bytes"].max() < before - 300_000_000
