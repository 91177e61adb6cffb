"""FedAvg, FedProx, FedAvg-FT and Local against plain PyTorch loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_torch import assert_rows, average, module_of, train
from small_federations import UNEVEN, simulate
from torch import Tensor, nn

from pflbench.federation import Attendance
from pflbench.method import LocalBudget
from pflbench_algorithms.fedavg_ft import FineTuned
from pflbench_algorithms.fedprox import FedProx

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])
PARTICIPATION = pytest.mark.parametrize("participation", [1.0, 0.6])
ROUNDS = 4


@ENGINES
@PARTICIPATION
def test_fedavg_is_the_sample_weighted_average_of_plain_sgd(
    engine: str, participation: float
) -> None:
    simulation = simulate(engine=engine, participation=participation, seed=5)
    w = simulation.task.initial
    for r in range(ROUNDS):
        cohort = simulation.round(r).cohort.tolist()
        assert len(cohort) == round(participation * len(UNEVEN))
        w = average(simulation, cohort, [train(simulation, w, i, r) for i in cohort])
        assert_rows(simulation.server.state()["w"], w)
    assert_rows(simulation.personal(simulation.everyone), w.expand(len(UNEVEN), -1))


@ENGINES
def test_fedavg_averages_those_who_upload_whatever_they_did(engine: str) -> None:
    """Weighted by samples alone: a client that did one step of three counts as one that did all."""
    simulation = simulate(engine=engine, budget=LocalBudget(4, steps=3))
    one_step = LocalBudget(4, steps=1)
    w = simulation.task.initial
    for r, failing in enumerate(([1], [0, 3], [2])):
        everyone = np.arange(len(UNEVEN))
        slow = everyone % 2 == 1
        simulation.round(
            r, Attendance(everyone, ~np.isin(everyone, failing), np.where(slow, 0.3, 1.0))
        )
        holds = [i for i in everyone.tolist() if i not in failing]
        rows = [train(simulation, w, i, r, budget=one_step if i % 2 else None) for i in holds]
        w = average(simulation, holds, rows)
        assert_rows(simulation.server.state()["w"], w)


def test_fedavg_in_single_precision() -> None:
    simulation = simulate(dtype=torch.float32)
    w = simulation.task.initial
    for r in range(ROUNDS):
        simulation.round(r)
        rows = [train(simulation, w, i, r) for i in range(len(UNEVEN))]
        w = average(simulation, list(range(len(UNEVEN))), rows)
    torch.testing.assert_close(simulation.server.state()["w"], w, rtol=0, atol=1e-6)


@ENGINES
def test_the_evaluation_is_that_of_the_global_model(engine: str) -> None:
    simulation = simulate(engine=engine)
    simulation.round(0)
    table, steps = simulation.evaluate(1)
    assert steps == 0
    module = module_of(simulation, simulation.server.state()["w"])
    assert len(table) == 2 * len(UNEVEN)
    for row in table.itertuples():
        x, y = simulation.federation.split(row.split).client(row.client)
        out = module(x.double())
        assert row.samples == len(y)
        assert row.correct == int((out.argmax(dim=1) == y).sum())
        assert row.loss == pytest.approx(
            float(nn.functional.cross_entropy(out, y).detach()), abs=1e-9
        )
        assert (row.round, row.stage) == (1, "personal")


@ENGINES
@PARTICIPATION
@pytest.mark.parametrize("mu", [0.0, 0.3, 5.0])
def test_fedprox_minimises_the_loss_with_the_proximal_term(
    engine: str, participation: float, mu: float
) -> None:
    simulation = simulate(
        "pflbench_algorithms.fedprox.client:FedProxClient",
        parameters=FedProx(mu=mu),
        engine=engine,
        participation=participation,
    )
    w = simulation.task.initial
    for r in range(ROUNDS):
        cohort = simulation.round(r).cohort.tolist()

        def proximal(module: nn.Module, received: Tensor = w) -> Tensor:
            row = torch.nn.utils.parameters_to_vector(module.parameters())
            return mu / 2 * (row - received).square().sum()

        rows = [train(simulation, w, i, r, penalty=proximal) for i in cohort]
        w = average(simulation, cohort, rows)
        assert_rows(simulation.server.state()["w"], w)


@ENGINES
def test_fedavg_ft_fine_tunes_for_evaluation_only(engine: str) -> None:
    epochs = 3
    simulation = simulate(
        "pflbench_algorithms.fedavg_ft.client:FedAvgFT",
        parameters=FineTuned(epochs=epochs),
        engine=engine,
    )
    plain = simulate(engine=engine)
    for r in range(2):
        simulation.round(r)
        plain.round(r)
    w = simulation.server.state()["w"].clone()
    table, steps = simulation.evaluate(2)
    again, _ = simulation.evaluate(2)
    assert table.equals(again)
    assert torch.equal(simulation.server.state()["w"], w)
    assert torch.equal(w, plain.server.state()["w"])  # the rounds are FedAvg's
    budget = LocalBudget(4, epochs=epochs)
    assert steps == sum(epochs * -(-n // 4) for n in UNEVEN)
    for i in range(len(UNEVEN)):
        tuned = module_of(simulation, train(simulation, w, i, 2, role="adaptation", budget=budget))
        for split in ("val", "test"):
            x, y = simulation.federation.split(split).client(i)
            loss = float(nn.functional.cross_entropy(tuned(x.double()), y).detach())
            row = table[(table.client == i) & (table.split == split)]
            assert row.loss.item() == pytest.approx(loss, abs=1e-9)


@ENGINES
def test_local_plus_fine_tunes_its_own_models_as_fedavg_ft_does_the_global_one(engine: str) -> None:
    epochs = 3
    made = {
        client: simulate(client, server, parameters=FineTuned(epochs=epochs), engine=engine)
        for client, server in (
            ("pflbench_algorithms.local.plus:LongerKeptClient", "pflbench.method:Server"),
            ("pflbench_algorithms.fedavg_ft.client:FedAvgFT", "pflbench.method:AveragingServer"),
        )
    }
    plus, ft = made.values()
    W = [plus.task.initial for _ in UNEVEN]
    for r in range(2):
        done = [simulation.round(r) for simulation in made.values()]
        assert done[0].steps == done[1].steps
        for i in done[0].cohort.tolist():
            W[i] = train(plus, W[i], i, r)
    table, steps = plus.evaluate(2)
    assert steps == ft.evaluate(2)[1] > 0
    assert table.equals(plus.evaluate(2)[0])  # what was fine-tuned is dropped
    budget = LocalBudget(4, epochs=epochs)
    for i in range(len(UNEVEN)):
        tuned = module_of(plus, train(plus, W[i], i, 2, role="adaptation", budget=budget))
        x, y = plus.federation.split("test").client(i)
        loss = float(nn.functional.cross_entropy(tuned(x.double()), y).detach())
        row = table[(table.client == i) & (table.split == "test")]
        assert row.loss.item() == pytest.approx(loss, abs=1e-9)


@ENGINES
@PARTICIPATION
def test_local_trains_alone_and_sends_nothing(engine: str, participation: float) -> None:
    simulation = simulate(
        "pflbench_algorithms.local.client:KeptClient",
        "pflbench.method:Server",
        engine=engine,
        participation=participation,
    )
    W = [simulation.task.initial for _ in UNEVEN]
    for r in range(ROUNDS):
        for i in simulation.round(r).cohort.tolist():
            W[i] = train(simulation, W[i], i, r)
        assert_rows(simulation.personal(simulation.everyone), torch.stack(W))
    assert simulation.traffic.total("up") == simulation.traffic.total("down") == 0
