"""Networks train in training mode and are evaluated in evaluation mode, wherever that happens."""

from __future__ import annotations

from typing import Any

import odd_networks
import pytest
import torch
from small_federations import federation_of, simulate
from torch import Tensor

from pflbench.engine.new_client_training import NewClientTraining
from pflbench.method import Nature
from pflbench.schema.new_clients import check
from pflbench_algorithms.fedavg_ft import FineTuned

Modes = list[tuple[bool, bool]]


class Watched(odd_networks.Louder):
    """Notes in which mode it is called, and whether anything is trained."""

    seen: Modes = []  # noqa: RUF012 - shared by the copies that each thread has

    def forward(self, x: Tensor) -> Any:
        self.seen.append((self.training, torch.is_grad_enabled()))
        return super().forward(x)


@pytest.fixture
def modes() -> Modes:
    Watched.seen = []
    return Watched.seen


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_training_trains_and_evaluation_evaluates(engine: str, modes: Modes) -> None:
    made = simulate(
        "pflbench_algorithms.fedavg_ft.client:FedAvgFT",
        module=Watched(None, (2, 3), 3),
        head="head.",
        engine=engine,
        parameters=FineTuned(epochs=1),
        nature=Nature(),
    )
    made.round(0)
    assert modes
    assert {training for training, _ in modes} == {True}
    modes.clear()
    made.evaluate(1)  # which trains first
    assert {training for training, _ in modes} == {True, False}
    assert {grad for training, grad in modes if not training} == {False}


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_new_clients_are_evaluated_in_evaluation_mode(engine: str, modes: Modes) -> None:
    made = simulate(module=Watched(None, (2, 3), 3), head="head.", engine=engine, nature=Nature())
    made.round(0)
    modes.clear()
    new_clients = NewClientTraining(made, federation_of((6, 7)), [5, 6])
    plan = check(0.4, rounds=1, shots="1", steps=2)
    assert plan is not None
    table = new_clients.table(1, plan)
    assert set(table["stage"]) == {"zero-shot", "k-shot"}
    assert {training for training, _ in modes} == {True, False}


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_outputs_are_those_of_evaluation_mode(engine: str) -> None:
    """Ten times as large as in training mode, which the loss shows."""
    module = odd_networks.Louder(None, (2, 3), 3).double()
    data = federation_of()
    made = simulate(module=module, federation=data, head="head.", engine=engine)
    table, _ = made.evaluate(0)
    x, y = data.test.client(1)
    module.eval()
    wanted = float(torch.nn.functional.cross_entropy(module(x.double()), y).detach())
    own = table[(table["client"] == 1) & (table["split"] == "test")]
    assert own["loss"].iloc[0] == pytest.approx(wanted, rel=1e-9)
