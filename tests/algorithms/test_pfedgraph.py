"""pFedGraph's graph is the program's solution, and its limits are FedAvg and Local."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from plain_torch import assert_rows
from scipy.optimize import minimize
from small_federations import UNEVEN, federation_of, simulate
from torch import Tensor

from pflbench.engine import Simulation
from pflbench_algorithms.pfedgraph import PFedGraph
from pflbench_algorithms.pfedgraph.server import PFedGraphServer, on_simplex

SEQUENTIAL = pytest.param("sequential", marks=pytest.mark.slow)
ENGINES = pytest.mark.parametrize("engine", ["stacked", SEQUENTIAL])
ROUNDS = 3


def played(parameters: PFedGraph, rounds: int = ROUNDS, **options: Any) -> Simulation:
    place = "pflbench_algorithms.pfedgraph"
    simulation = simulate(
        f"{place}.client:PFedGraphClient",
        f"{place}.server:PFedGraphServer",
        parameters=parameters,
        **options,
    )
    for r in range(rounds):
        simulation.round(r)
    return simulation


def server_of(simulation: Simulation) -> PFedGraphServer:
    assert isinstance(simulation.server, PFedGraphServer)
    return simulation.server


def models(simulation: Simulation) -> Tensor:
    return simulation.personal(simulation.everyone)


def test_a_row_of_the_graph_solves_its_quadratic_program() -> None:
    rng = np.random.default_rng(0)
    for alpha in (0.05, 0.8, 5.0):
        s, p = rng.uniform(-1, 1, 7), rng.dirichlet(np.ones(7))
        solved = minimize(
            lambda g, s=s, p=p, alpha=alpha: alpha * g @ g - (s + 2 * alpha * p) @ g,
            np.full(7, 1 / 7),
            bounds=[(0, 1)] * 7,
            constraints={"type": "eq", "fun": lambda g: g.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        ours = on_simplex(torch.from_numpy(p + s / (2 * alpha))[None])[0]
        np.testing.assert_allclose(ours.numpy(), solved.x, atol=1e-6)


@ENGINES
def test_with_a_large_alpha_it_is_fedavg(engine: str) -> None:
    plain = simulate(engine=engine)
    for r in range(ROUNDS):
        plain.round(r)
    ours = played(PFedGraph(alpha=1e12, lam=0.0), engine=engine)
    assert_rows(models(ours), models(plain))


@ENGINES
def test_with_a_small_alpha_it_is_local(engine: str) -> None:
    client, server = "pflbench_algorithms.local.client:KeptClient", "pflbench.method:Server"
    plain = simulate(client, server, engine=engine)
    for r in range(ROUNDS):
        plain.round(r)
    assert_rows(models(played(PFedGraph(alpha=1e-6, lam=0.0), engine=engine)), models(plain))


@ENGINES
def test_the_papers_sign_holds_clients_together_and_the_published_codes_does_not(
    engine: str,
) -> None:
    def agreement(lam: float, sign: Literal[-1, 1] = -1) -> float:
        """Mean cosine between a model after training, and the direction that it was sent."""
        options = {"engine": engine, "record": True}
        sim = played(PFedGraph(lam=lam, similarity_sign=sign), 2, **options)
        report = sim.round(2)
        v, W = report.received["direction"], report.uploads["model"]
        return float(torch.nn.functional.cosine_similarity(v, W).mean())

    assert agreement(0.5, -1) > agreement(0.0) > agreement(0.5, 1)


def test_two_groups_are_told_apart() -> None:
    data = federation_of((12, 12, 12, 12))
    for k in (2, 3):  # the same digits, other names
        data.train.y[12 * k : 12 * k + 12] = (data.train.y[12 * k : 12 * k + 12] + 1) % 3
    found = played(PFedGraph(alpha=0.2), 4, federation=data).server.relatedness()
    assert found is not None
    G = found.weight
    torch.testing.assert_close(G.sum(dim=1), torch.ones_like(G[0]))
    within = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]).bool()
    assert G[within].min() > G[~within].max()


@ENGINES
def test_clients_come_in_as_they_like(engine: str) -> None:
    """The published code fails when a client takes part that was not in the round before."""
    sim = played(PFedGraph(lam=0.1), 0, engine=engine)
    everyone = sim.everyone
    for r, cohort in enumerate(([0, 1], [1, 3], [0, 3])):
        sim.round(r, torch.tensor(cohort))
    server = server_of(sim)
    assert server.there.tolist() == [True, True, False, True, False]
    shares = torch.tensor([UNEVEN[0], UNEVEN[1], 0, UNEVEN[3], 0], dtype=torch.float64)
    shares /= shares.sum()
    G = server.graph(everyone)
    assert_rows(G[[2, 4]], shares.expand(2, -1))
    assert_rows(server.serve(everyone)["model"][2], shares @ server.W.whole())


def test_similar_updates_count_as_equal_if_asked() -> None:
    plain, coarse = (server_of(played(PFedGraph(same_above=a), 1)) for a in (1.0, 0.1))
    above = plain.similarity > 0.1
    assert (plain.similarity[above] < 1).any()
    assert (coarse.similarity[above] == 1).all()
    assert_rows(coarse.similarity[~above], plain.similarity[~above])


def test_a_round_costs_what_the_note_says() -> None:
    ours, plain = played(PFedGraph(), 1).round(1), simulate().round(0)
    assert ours.bytes_down == 2 * plain.bytes_down
    assert ours.bytes_up == plain.bytes_up
    assert ours.steps == plain.steps
