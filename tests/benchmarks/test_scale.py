"""What ten thousand clients cost against a hundred, with models of 118,282 parameters.

Cohorts of 100, 10 local steps of 64 samples; the numbers are random, and do not matter for speed.
Run by name, on an otherwise idle machine with 8 GB of memory and 12 GB of disk for temporary
files: pytest -n 0 -s tests/benchmarks/test_scale.py
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import psutil
import pytest
import torch

from pflbench.bench.measure import rounds_of, side_by_side
from pflbench.bench.workload import SGD
from pflbench.engine import Simulation
from pflbench.federation import Federation, Pool, Shards, build
from pflbench.federation.partitioners.dirichlet import DirichletPartitioner
from pflbench.federation.partitioners.partitioner_settings import Dirichlet
from pflbench.method import LocalBudget
from pflbench.models import Mlp
from pflbench.models.networks import build_mlp
from pflbench.schema import plugins
from pflbench.schema.parameters import parse_parameters
from pflbench_algorithms.fedora.graph import neighbours
from pflbench_algorithms.fedora.server import FedoraServer
from pflbench_algorithms.fedora.similarities import Subspace, subspace

FEW, MANY, COHORT = 100, 10_000, 100
GIB = 2**30


@cache
def federation(clients: int, samples: int = 64) -> Federation:
    """Return a federation of equal clients, random."""
    generator = torch.Generator().manual_seed(0)

    def shards(n: int) -> Shards:
        x = torch.rand(clients * n, 1, 28, 28, generator=generator)
        y = torch.randint(10, (clients * n,), generator=generator)
        return Shards(x, y, np.arange(clients + 1, dtype=np.int64) * n)

    return Federation(shards(samples), shards(8), shards(8), 10, "random")


def simulation(algorithm: str, clients: int) -> Simulation:
    """Return a method on a federation, enrolled."""
    registry = plugins.installed()
    spec = registry.get(registry.algorithms, algorithm)
    made = Simulation(
        spec,
        parse_parameters(spec.parameters, {}, owner=algorithm),
        federation(clients),
        build_mlp(Mlp(), (1, 28, 28), 10),
        "layer_output.",
        seed=0,
        optimiser=SGD,
        budget=LocalBudget(64, epochs=10),
        participation=COHORT / clients,
    )
    made.enrol()
    return made


def upload_everything(played: Simulation) -> None:
    """Let every client have a trained model of its own, at the client and at the server."""
    generator = torch.Generator().manual_seed(1)
    w = played.task.initial
    for begin in range(0, played.federation.clients, COHORT):
        cohort = torch.arange(begin, begin + COHORT)
        rows = w + 0.05 * torch.randn(COHORT, len(w), generator=generator)
        played._states["w"].put(cohort, rows)
        played.server.aggregate(0, cohort, {"model": rows})


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@pytest.fixture(autouse=True)
def _within_eight_gigabytes() -> Iterator[None]:
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"most memory so far: {peak / GIB:.2f} GiB")
    assert peak < 8 * GIB


@pytest.mark.parametrize(
    ("algorithm", "limit", "everybody_uploaded"),
    [
        ("fedavg", 1.5, False),
        ("fedprox", 1.5, False),
        ("pfedhn", 1.5, False),
        ("fedora", 2.0, False),
        ("fedora", 2.0, True),
    ],
)
def test_rounds(algorithm: str, limit: float, everybody_uploaded: bool) -> None:
    """A round costs what its cohort costs, not what the federation would."""
    played = {str(n): simulation(algorithm, n) for n in (FEW, MANY)}
    if everybody_uploaded:
        for one in played.values():
            upload_everything(one)
    took = side_by_side({name: rounds_of(one) for name, one in played.items()}, 5)
    ratio = took[str(MANY)] / took[str(FEW)]
    print(f"{algorithm}: {took[str(FEW)]:.3f} s and {took[str(MANY)]:.3f} s, ratio {ratio:.2f}")
    assert ratio <= limit


@pytest.mark.parametrize("algorithm", ["fedavg", "pfedhn", "fedora"])
def test_evaluating_ten_thousand_personal_models(algorithm: str) -> None:
    played = simulation(algorithm, MANY)
    if algorithm == "fedora":
        upload_everything(played)
    took = seconds(lambda: played.evaluate(1))
    print(f"{algorithm}: {took:.1f} s")
    assert took < 30


@pytest.mark.parametrize("q", [1, 2])
def test_the_similarity_graph(q: int) -> None:
    """Less than 30 s, and no matrix with an entry for every two clients."""
    generator = torch.Generator().manual_seed(0)
    U = torch.linalg.qr(torch.rand(MANY, 794, q, generator=generator))[0]
    before = psutil.Process().memory_info().rss
    bases = {"basis": U.transpose(1, 2).contiguous()}
    neighbours(Subspace(q), {"basis": bases["basis"][:500]}, 500, 2, 10.0)
    took = seconds(lambda: neighbours(Subspace(q), bases, MANY, 2, 10.0))
    grown = psutil.Process().memory_info().rss - before
    print(f"q = {q}: {took:.1f} s, {grown / GIB:.2f} GiB left behind")
    assert took < 30


def test_enrolment() -> None:
    """Ten thousand subspaces of 64 samples in seconds, and several times as fast as by SVD."""
    played = simulation("fedora", MANY)
    took = seconds(lambda: _enrol_clients_again(played))
    train = played.federation.train
    some = [train.client(i)[0].flatten(1) for i in range(100)]
    by_svd = seconds(lambda: [torch.linalg.svd(x, full_matrices=False) for x in some])
    print(f"{took:.1f} s; singular value decompositions: {100 * by_svd:.1f} s")
    assert took < 100 * by_svd / 2
    x, y = train.client(0)
    assert subspace(x, y, 10, 1).shape == (794, 1)


def _enrol_clients_again(played: Simulation) -> None:
    from pflbench.engine.enrolment import enrolments

    assert isinstance(played.server, FedoraServer)
    enrolments(played.client, played.local, torch.float32, range(MANY), mapped=True)


def test_partitioning_among_ten_thousand() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (70_000, 1, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, 70_000)
    pool = Pool(x[:60_000], y[:60_000], x[60_000:], y[60_000:], 10, "random", 10_000)
    took = seconds(lambda: build(pool, DirichletPartitioner(Dirichlet(alpha=0.1)), MANY, 0))
    print(f"{took:.1f} s")
    assert took < 30
