"""Methods whose clients keep some columns: what stays, what is shared, what crosses."""

from __future__ import annotations

import pytest
import torch
from small_federations import UNEVEN, simulate
from torch import Tensor, nn

from pflbench_algorithms.fedbn import FedBN

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])
WEIGHTED = "pflbench_algorithms.weighted_server:WeightedServer"
FEDBN = "pflbench_algorithms.fedbn.client:FedBNClient"


def normalising() -> nn.Module:
    """A network whose normalisation is not called so."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )


def rows_after(rounds: int, *halves: str, **options: object) -> Tensor:
    simulation = simulate(*halves, **options)  # type: ignore[arg-type]  # names and values
    for r in range(rounds):
        simulation.round(r)
    return simulation.personal(simulation.everyone)


@ENGINES
def test_fedbn_without_normalisation_is_fedavg(engine: str) -> None:
    ours = rows_after(2, FEDBN, WEIGHTED, parameters=FedBN("samples"), engine=engine)
    assert torch.equal(ours, rows_after(2, engine=engine))


@ENGINES
def test_fedbn_keeps_normalisation_and_shares_the_rest(engine: str) -> None:
    simulation = simulate(
        FEDBN, WEIGHTED, parameters=FedBN(), module=normalising(), head="4.", engine=engine
    )
    report = simulation.round(0)
    W = simulation.personal(simulation.everyone)
    norm = simulation.task.layout.block("norm")
    assert norm.count == 5 + 5 + 5 + 5 + 1  # scale, shift, mean, variance, counter
    kept, shared = norm.take(W), norm.rest.take(W)
    assert len(kept[:, 10:].unique(dim=0)) == len(UNEVEN)  # everyone's own statistics
    assert len(shared.unique(dim=0)) == 1
    assert report.bytes_up == report.bytes_down == len(UNEVEN) * norm.rest.count * 8


def test_fedbn_averages_uniformly() -> None:
    """A client with few samples counts as much as one with many."""
    simulation = simulate(FEDBN, WEIGHTED, parameters=FedBN(), record=True)
    report = simulation.round(0)
    mean = report.uploads["model"].mean(dim=0)
    torch.testing.assert_close(simulation.server.state()["w"], mean, rtol=0, atol=1e-12)
