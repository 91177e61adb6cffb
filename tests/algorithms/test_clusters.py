"""Methods that sort clients into groups find them, and average within them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from plain_torch import assert_rows, module_of, train
from small_federations import arrays_of, simulate

from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.cfl import CFL
from pflbench_algorithms.cfl.server import bipartition
from pflbench_algorithms.ifca import IFCA

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])
EAGER = CFL(eps_1=1e9, eps_2=0.0, first_split=0)
"""Splits whenever it can."""
PLAIN = {"optimiser": Sgd(0.1), "budget": LocalBudget(8, epochs=2)}


def ifca(parameters: IFCA, **options: Any) -> Simulation:
    return simulate(
        "pflbench_algorithms.ifca.client:IFCAClient",
        "pflbench_algorithms.ifca.server:IFCAServer",
        parameters=parameters,
        **options,
    )


def groups_of(groups: int, clients: int) -> Federation:
    """Clients of different groups, in turn, give the classes other names."""
    arrays = arrays_of((24,) * clients)
    for k, client in enumerate(arrays):
        for split in ("train", "val", "test"):
            client[f"{split}_y"] = (client[f"{split}_y"] + k % groups) % 3
    return Federation.from_arrays(arrays, 3)


def two_groups(clients: int = 6) -> Federation:
    return groups_of(2, clients)


def clusters_of(simulation: Simulation) -> list[set[int]]:
    """The clusters, ordered by their smallest member."""
    cluster = simulation.server.state()["cluster"].tolist()
    found = {c: {k for k, own in enumerate(cluster) if own == c} for c in cluster}
    return list(found.values())


@ENGINES
def test_ifca_of_one_cluster_is_fedavg(engine: str) -> None:
    one, plain = ifca(IFCA(1, "samples"), engine=engine), simulate(engine=engine)
    for r in range(3):
        one.round(r)
        plain.round(r)
    assert_rows(one.personal(one.everyone), plain.personal(plain.everyone))


@ENGINES
@pytest.mark.parametrize("weighting", ["samples", "uniform"])
def test_ifca_follows_its_algorithm(weighting: Any, engine: str) -> None:
    """A loop over modules, with a part of the clients, momentum and decay."""
    sim = ifca(IFCA(3, weighting), engine=engine, participation=0.6, federation=two_groups(5))
    models = list(sim.server.state()["w"])

    def losses(k: int) -> list[float]:
        x, y = sim.federation.train.client(k)
        with torch.no_grad():
            every = [module_of(sim, w)(x.double()) for w in models]
            return [float(torch.nn.functional.cross_entropy(out, y)) for out in every]

    for r in range(3):
        cohort = sim.round(r).cohort.tolist()
        choices = [min(range(3), key=losses(k).__getitem__) for k in cohort]
        rows = [train(sim, models[j], k, r) for j, k in zip(choices, cohort, strict=True)]
        sizes = sim.federation.train.sizes
        for j in set(choices):
            mine = [(k, w) for c, k, w in zip(choices, cohort, rows, strict=True) if c == j]
            weights = [float(sizes[k]) if weighting == "samples" else 1.0 for k, _ in mine]
            whole = sum(p * w for p, (_, w) in zip(weights, mine, strict=True))
            models[j] = whole / sum(weights)
        assert_rows(sim.server.state()["w"], torch.stack(models))
    best = [min(range(3), key=losses(k).__getitem__) for k in range(5)]
    assert_rows(sim.personal(sim.everyone), torch.stack([models[j] for j in best]))


def test_ifca_finds_two_groups_and_serves_each_its_own() -> None:
    sim = ifca(IFCA(2), seed=1, federation=two_groups(), **PLAIN)
    plain = simulate(federation=two_groups(), **PLAIN)
    for r in range(8):
        sim.round(r)
        plain.round(r)
    assert sim.server.state()["cluster"].tolist() in ([0, 1] * 3, [1, 0] * 3)
    assert sim.server.relatedness().similarity[0].tolist() == [1, 0, 1, 0, 1, 0]  # type: ignore[union-attr]
    own, all_of_them = (s.evaluate(8, ["test"])[0]["correct"].sum() for s in (sim, plain))
    assert own > 1.3 * all_of_them


def test_ifcas_choice_for_an_evaluation_is_by_training_samples() -> None:
    """The official code chooses by the labels of the test samples."""
    data = two_groups()
    data.test.y[:] = (data.test.y + 1) % 3  # as if each client were of the other group
    sims = [ifca(IFCA(2), seed=1, federation=f, **PLAIN) for f in (data, two_groups())]
    for sim in sims:
        for r in range(3):
            sim.round(r)
    assert torch.equal(*(sim.personal(sim.everyone) for sim in sims))


def test_a_cluster_without_clients_keeps_its_model() -> None:
    sim = ifca(IFCA(8))
    before = sim.server.state()["w"].clone()
    sim.round(0)
    chosen = sim.server.state()["cluster"].tolist()
    after = sim.server.state()["w"]
    for j in range(8):
        assert torch.equal(before[j], after[j]) == (j not in chosen)


def test_new_clients_without_labels_get_the_commonest_model() -> None:
    sim = ifca(IFCA(3))
    sim.server.cluster = torch.tensor([2, 2, 0, -1, 1])  # type: ignore[attr-defined]
    joining: Any = SimpleNamespace(labelled=False, count=2, participants=sim.everyone)
    served = sim.server.onboard(joining)["models"]
    assert served.shape[:2] == (2, 3)
    assert torch.equal(served[1, 0], sim.server.state()["w"][2])


def test_initial_models_differ_and_have_one_distribution() -> None:
    sim = ifca(IFCA(4))
    setup, layout = sim.server.setup, sim.task.layout
    models = setup.initials(4)
    assert torch.equal(models[0], setup.initial)
    assert torch.equal(models, setup.initials(4))
    assert len({tuple(w.tolist()) for w in models}) == 4
    for tensor in layout.unflatten(models).values():
        numbers = tensor.flatten(start_dim=1).sort(dim=1).values
        assert torch.equal(numbers, numbers[:1].expand_as(numbers))


def cfl(parameters: CFL, **options: Any) -> Simulation:
    return simulate(
        "pflbench.method:Client",
        "pflbench_algorithms.cfl.server:CFLServer",
        parameters=parameters,
        **options,
    )


@ENGINES
@pytest.mark.parametrize(
    "limit", [{"eps_1": 1e-9}, {"eps_2": 1e9}, {"gamma_max": 0.9999}, {"first_split": 3}]
)
def test_cfl_that_never_splits_is_fedavg(limit: Any, engine: str) -> None:
    sim, plain = cfl(replace(EAGER, **limit), engine=engine), simulate(engine=engine)
    for r in range(3):
        sim.round(r)
        plain.round(r)
    assert_rows(sim.personal(sim.everyone), plain.personal(plain.everyone))


def test_cfl_finds_three_groups_by_splitting_twice() -> None:
    """From the second split on, the official code takes places in a cluster for client numbers."""
    sim = cfl(CFL(0.12, 0.24, first_split=2), federation=groups_of(3, 9), **PLAIN)
    plain = simulate(federation=groups_of(3, 9), **PLAIN)
    for r in range(8):
        sim.round(r)
        plain.round(r)
    assert clusters_of(sim) == [{0, 3, 6}, {1, 4, 7}, {2, 5, 8}]
    own, all_of_them = (s.evaluate(8, ["test"])[0]["correct"].sum() for s in (sim, plain))
    assert own > 1.5 * all_of_them


def test_cfls_cut_has_the_smallest_largest_cosine_across() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = torch.from_numpy(rng.normal(size=(6, 3)))
        rows = rows / rows.norm(dim=1, keepdim=True)
        cosines = rows @ rows.T
        worst = {
            cut: max(float(cosines[i, j]) for i in cut for j in range(6) if j not in cut)
            for size in (1, 2, 3, 4, 5)
            for cut in itertools.combinations(range(1, 6), size)
        }
        found = tuple(bipartition(cosines).nonzero().flatten().tolist())
        assert worst[found] == pytest.approx(min(worst.values()))


def test_with_a_cohort_cfl_splits_when_all_members_have_uploaded() -> None:
    sim = cfl(EAGER, federation=two_groups(6))
    sim.round(0, torch.tensor([0, 1, 2, 3]))
    assert clusters_of(sim) == [{0, 1, 2, 3, 4, 5}]
    sim.round(1, torch.tensor([3, 4, 5]))
    first = clusters_of(sim)
    assert len(first) == 2
    sim.round(2, torch.tensor([0, 3, 4]))
    assert clusters_of(sim) == first  # no cluster's members have all uploaded since


@ENGINES
def test_cfl_resumes_after_splits(engine: str) -> None:
    sims = [cfl(EAGER, federation=two_groups(6), engine=engine) for _ in range(2)]
    for r in range(2):
        sims[0].round(r)
    assert len(clusters_of(sims[0])) > 2
    sims[1].restore(sims[0].state())
    for sim in sims:
        sim.round(2)
    assert torch.equal(*(sim.personal(sim.everyone) for sim in sims))
    assert clusters_of(sims[0]) == clusters_of(sims[1])


def test_cfl_puts_late_and_new_clients_into_the_largest_cluster() -> None:
    sim = cfl(EAGER, federation=two_groups(6))
    server: Any = sim.server
    server.w = torch.stack([server.w[0], server.w[0] + 1])
    server.cluster = torch.tensor([0, 1, 0, 1, 1, 1])
    server.forget(torch.tensor([2]))
    server.enrol(torch.tensor([2]), [{"samples": torch.tensor(9)}])
    assert server.cluster.tolist() == [0, 1, 1, 1, 1, 1]
    joining: Any = SimpleNamespace(count=1)
    assert torch.equal(server.onboard(joining)["model"][0], server.w[1])
