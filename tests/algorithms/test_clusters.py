"""Methods that sort clients into groups find them, and average within them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from plain_torch import assert_rows, module_of, train
from small_federations import arrays_of, simulate

from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.method import LocalBudget, Sgd
from pflbench_algorithms.ifca import IFCA

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])
PLAIN = {"optimiser": Sgd(0.1), "budget": LocalBudget(8, epochs=2)}


def ifca(parameters: IFCA, **options: Any) -> Simulation:
    return simulate(
        "pflbench_algorithms.ifca.client:IFCAClient",
        "pflbench_algorithms.ifca.server:IFCAServer",
        parameters=parameters,
        **options,
    )


def two_groups(clients: int = 6) -> Federation:
    """Odd clients give the classes other names."""
    arrays = arrays_of((24,) * clients)
    for client in arrays[1::2]:
        for split in ("train", "val", "test"):
            client[f"{split}_y"] = (client[f"{split}_y"] + 1) % 3
    return Federation.from_arrays(arrays, 3)


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
