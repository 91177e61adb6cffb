"""Federations of many clients, with small models: the same numbers, and no growth."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from small_federations import UNEVEN, arrays_of, federation_of, simulate
from torch import Tensor

from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.engine.enrolment import enrolments
from pflbench.engine.interface import LocalShards
from pflbench.federation import Shards
from pflbench.method import Layout, LocalBudget, Setup, Sgd, Storage, Task
from pflbench_algorithms.fedora import Fedora
from pflbench_algorithms.fedora import server as fedora_server
from pflbench_algorithms.fedora.client import FedoraClient
from pflbench_algorithms.fedora.graph import neighbours
from pflbench_algorithms.fedora.server import FedoraServer
from pflbench_algorithms.fedora.similarities import Subspace, subspace
from pflbench_algorithms.pfedhn import PFedHN, PFedHNPC

METHODS: dict[str, tuple[str, str, Any]] = {
    "fedavg": ("pflbench.method:Client", "pflbench.method:AveragingServer", None),
    "local": ("pflbench_algorithms.local.client:KeptClient", "pflbench.method:Server", None),
    "fedora": (
        "pflbench_algorithms.fedora.client:FedoraClient",
        "pflbench_algorithms.fedora.server:FedoraServer",
        Fedora(),
    ),
    "pfedhn": (
        "pflbench_algorithms.pfedhn.client:PFedHNClient",
        "pflbench_algorithms.pfedhn.server:PFedHNServer",
        PFedHN(hidden=6),
    ),
    "pfedhn-pc": (
        "pflbench_algorithms.pfedhn.client:PFedHNPCClient",
        "pflbench_algorithms.pfedhn.server:PFedHNPCServer",
        PFedHNPC(hidden=6),
    ),
}
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)
ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def made(method: str, **options: Any) -> Simulation:
    client, server, parameters = METHODS[method]
    return simulate(client, server, parameters=parameters, **options)


def many(clients: int, samples: int = 2) -> Federation:
    """Return a federation of many equal clients with a few points in three classes."""
    rng = np.random.default_rng(0)

    def shards(n: int) -> Shards:
        y = rng.integers(0, 3, clients * n)
        x = rng.normal(size=(clients * n, 6)) + 2 * np.eye(3)[y].repeat(2, axis=1)
        offsets = np.arange(clients + 1, dtype=np.int64) * n
        return Shards(torch.tensor(x, dtype=torch.float32), torch.tensor(y), offsets)

    return Federation(shards(samples), shards(2), shards(2), 3, "made")


# Where rows lie


@pytest.mark.mostly_slow("1.0-stacked", "0.6-sequential-fedora")
@EVERY_METHOD
@ENGINES
@pytest.mark.parametrize("participation", [0.6, 1.0])
def test_rows_in_files_and_in_memory_are_the_same_bits(
    method: str, engine: str, participation: float
) -> None:
    options: dict[str, Any] = {"engine": engine, "participation": participation}
    in_memory, in_files = (
        made(method, storage=Storage(memory=memory), **options) for memory in (2**30, 0)
    )
    for r in range(4):
        for simulation in (in_memory, in_files):
            simulation.round(r)
    one, other = in_memory.state(), in_files.state()
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    everyone = in_memory.everyone
    assert torch.equal(in_memory.personal(everyone), in_files.personal(everyone))
    assert in_memory.evaluate(4)[0].equals(in_files.evaluate(4)[0])


@pytest.mark.mostly_slow("2-0-")
@EVERY_METHOD
@pytest.mark.parametrize("memory", [2**30, 0])
@pytest.mark.parametrize("after", [0, 2])
def test_a_simulation_goes_on_from_parts(method: str, memory: int, after: int) -> None:
    options: dict[str, Any] = {"participation": 0.4, "dtype": torch.float32}
    whole, resumed = (made(method, storage=Storage(memory=memory), **options) for _ in range(2))
    for r in range(after):
        whole.round(r)
    for part in whole.parts():
        resumed.restore(part)
    for r in range(after, 5):
        assert torch.equal(whole.round(r).cohort, resumed.round(r).cohort)
    for name, value in whole.state().items():
        assert torch.equal(resumed.state()[name], value), name


def test_clients_that_never_took_part_are_not_in_the_parts() -> None:
    simulation = made("fedora", federation=many(2000))
    simulation.round(0, torch.tensor([3, 1999]))
    sizes = {name: len(v) for part in simulation.parts() for name, v in part.items() if v.ndim}
    assert sizes["client/w"] == sizes["server/W"] == 2


# FEDORA


@pytest.mark.mostly_slow("1073741824-300-0.8", "0-1-0.99")
@pytest.mark.parametrize("alpha", [0.8, 0.99])
@pytest.mark.parametrize("uploaded", [1, 300, 900])
@pytest.mark.parametrize("memory", [2**30, 0])
def test_reachable_rows_are_the_dense_formula(
    monkeypatch: pytest.MonkeyPatch, alpha: float, uploaded: int, memory: int
) -> None:
    N, P = 900, 50
    g = torch.Generator().manual_seed(uploaded)
    initial = torch.randn(P, dtype=torch.float64, generator=g)
    layout = Layout(("w",), ((P,),))
    setup = Setup(layout, initial, N, 2, 0, Storage(memory=memory))
    server = FedoraServer(Fedora(alpha=alpha), setup)
    U = torch.linalg.qr(torch.randn(N, 12, 1, dtype=torch.float64, generator=g))[0]
    server.enrol(torch.arange(N), [{"subspace": u} for u in U])
    who = torch.randperm(N, generator=g)[:uploaded]
    rows = initial + torch.randn(uploaded, P, dtype=torch.float64, generator=g)
    server.aggregate(0, who, {"model": rows})
    cohort = torch.randperm(N, generator=g)[:60]
    got = server.send(1, cohort)["model"]
    monkeypatch.setattr(fedora_server, "DENSE_UP_TO", N)
    wanted = server.send(1, cohort)["model"]
    assert float((got - wanted).norm() / wanted.norm()) < 1e-8
    torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-7)


def test_only_rows_that_can_be_reached_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty groups of clients whose data lie in planes of their own: a client reaches its group."""
    groups, each, g = 40, 20, torch.Generator().manual_seed(0)
    U = torch.zeros(groups, each, 2 * groups, 1)
    for k in range(groups):
        U[k, :, 2 * k : 2 * k + 2, 0] = 1 + 0.1 * torch.randn(each, 2, generator=g)
    U = torch.nn.functional.normalize(U.flatten(0, 1), dim=1)
    N = groups * each
    server = FedoraServer(Fedora(), Setup(Layout(("w",), ((3,),)), torch.zeros(3), N, 2, 0))
    server.enrol(torch.arange(N), [{"subspace": u} for u in U])
    server.aggregate(0, torch.arange(N), {"model": torch.randn(N, 3, generator=g)})
    asked: list[Tensor] = []
    real = server.uploads.mix
    monkeypatch.setattr(server.uploads, "mix", lambda w, i: (asked.append(i), real(w, i))[1])
    server.send(1, torch.tensor([0, 45, 47]))
    (index,) = asked
    assert len(index) <= 2 * each
    assert set((index // each).tolist()) == {0, 2}


@pytest.mark.parametrize("q", [1, 2, 3, 4])
@pytest.mark.parametrize("alike", [0.0, 3.0])
def test_neighbours_of_subspaces_of_any_dimension(q: int, alike: float) -> None:
    """From three dimensions on most pairs are ruled out by a bound: never one that counts."""
    g = torch.Generator().manual_seed(q)
    common = torch.randn(12, q, dtype=torch.float64, generator=g)
    U = torch.linalg.qr(alike * common + torch.randn(150, 12, q, dtype=torch.float64, generator=g))
    bases = {"basis": U.Q.transpose(1, 2)}
    nearest, weights = neighbours(Subspace(q), bases, 150, 4, 10.0)
    for i in range(150):
        s = torch.linalg.svdvals(U.Q[i].T @ U.Q).sum(dim=1)
        s[i] = -torch.inf
        values, indices = s.topk(4)
        assert nearest[i].tolist() == indices.tolist()
        torch.testing.assert_close(weights[i], torch.softmax(10 * values, dim=0))


@pytest.mark.parametrize(
    ("n", "d", "q"), [(1, 5, 1), (6, 40, 1), (6, 40, 4), (30, 20, 3), (40, 7, 10), (3, 30, 8)]
)
def test_subspaces_are_those_of_the_singular_value_decomposition(n: int, d: int, q: int) -> None:
    g = torch.Generator().manual_seed(n)
    for offset in (0.0, 3.0):  # far from the origin, the first direction dwarfs the others
        x = offset + torch.randn(n, d, generator=g)
        y = torch.randint(3, (n,), generator=g)
        U = subspace(x, y, 3, q).numpy()
        X = np.concatenate([x.numpy(), np.eye(3)[y.numpy()]], axis=1).astype(np.float64)
        V = np.linalg.svd(X.T, full_matrices=False)[0][:, :q]
        assert U.shape == (d + 3, q)
        assert not U[:, V.shape[1] :].any()
        cosines = (U[:, : V.shape[1]] * V).sum(axis=0)
        np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-6)
        np.testing.assert_allclose(U[:, : V.shape[1]] * np.sign(cosines), V, atol=1e-6)


def test_directions_that_the_data_lack_are_zero() -> None:
    x = torch.ones(4, 6) * torch.tensor([[1.0], [2.0], [1.0], [3.0]])  # rank one
    U = subspace(x, None, 3, 3)
    np.testing.assert_allclose(U[:, 0].abs(), 6**-0.5, rtol=1e-6)
    assert U[:, 1:].abs().sum() == 0
    assert subspace(torch.zeros(4, 6), None, 3, 2).abs().sum() == 0


@pytest.mark.parametrize("q", [1, 3])
def test_clients_that_enrol_together_say_what_each_says(q: int) -> None:
    sizes = (4, 7, 4, 1, 7, 4)
    federation = federation_of(sizes)
    data = LocalShards(federation.train, federation.val)
    task = Task(
        torch.nn.Identity(), Layout(("w",), ((1,),)), torch.zeros(1), 3, Sgd(1.0), LocalBudget(1, 1)
    )
    client = FedoraClient(Fedora(subspace_dim=q), task)
    alone, together = (
        enrolments(client, data, torch.float32, mapped=mapped) for mapped in (False, True)
    )
    for one, other in zip(alone, together, strict=True):
        assert one.keys() == other.keys()
        a, b = one["subspace"], other["subspace"]
        torch.testing.assert_close(a @ a.T, b @ b.T)  # a direction's sign says nothing


# Size and time


@pytest.mark.slow
def test_no_tensor_is_kept_over_rounds() -> None:
    tensors, _ = held("fedora", rounds=10, windows=3)
    assert tensors[-1] == tensors[1], np.diff(tensors).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fedavg", "fedora", "pfedhn"])
def test_memory_does_not_grow_over_a_thousand_rounds(method: str) -> None:
    """The growth of most windows of rounds is almost nothing.

    The allocator grows in steps, most of them early, and a system counts a process's pages
    coarsely. What rounds leave behind grows in every window.
    """
    windows, rounds = 10, 100
    tensors, pages = held(method, rounds, windows)
    assert tensors[-1] == tensors[1], np.diff(tensors).tolist()
    grown = np.diff(pages)
    assert np.median(grown[windows // 3 :]) < 1024 * rounds, grown.tolist()


def held(method: str, rounds: int, windows: int) -> tuple[list[int], list[int]]:
    """Play windows of rounds; return the bytes of tensors and of the process after each."""
    simulation = made(
        method,
        federation=federation_of([2] * 20),
        participation=0.1,
        dtype=torch.float32,
        budget=LocalBudget(2, steps=1),
    )
    process, pages, tensors = psutil.Process(), [], []
    for window in range(windows):
        for r in range(window * rounds, (window + 1) * rounds):
            simulation.round(r)
        simulation.evaluate((window + 1) * rounds)
        # What is written down of each round, a run puts into its tables.
        for book in (simulation.traffic, simulation.register):
            book.restore(book.table().head(0))
        gc.collect()
        pages.append(process.memory_full_info().uss)
        tensors.append(bytes_of_tensors())
    return tensors, pages


def bytes_of_tensors() -> int:
    """Return the bytes of all tensors that Python holds, each storage once."""
    storages = (
        thing.untyped_storage()
        for thing in gc.get_objects()
        if type(thing) is torch.Tensor and thing.layout == torch.strided
    )
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@pytest.mark.mostly_slow("fedora")
@EVERY_METHOD
def test_ten_thousand_clients(method: str) -> None:
    """Rounds, evaluation and a checkpoint of ten thousand clients with models of a few numbers."""
    simulation = made(method, federation=many(10_000), participation=0.01, dtype=torch.float32)
    for r in range(2):
        report = simulation.round(r)
        assert len(report.cohort) == 100
    table, _ = simulation.evaluate(2)
    assert len(table) == 20_000
    assert table.loss.between(0, 20).all()
    assert (table.groupby("split").client.nunique() == 10_000).all()


def test_uneven_clients_still_agree_with_everybody_in_files() -> None:
    federation = Federation.from_arrays(arrays_of((*UNEVEN, 3, 3)), 3)
    one, other = (
        made("fedora", federation=federation, engine=engine, storage=Storage(memory=0))
        for engine in ("stacked", "sequential")
    )
    for r in range(3):
        for simulation in (one, other):
            simulation.round(r)
    for name, value in one.state().items():
        torch.testing.assert_close(other.state()[name], value, rtol=1e-9, atol=1e-9)
