"""The engine alone: a method's classes handed over give what the method's plugin gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_federations import UNEVEN, federation_of
from torch import Tensor, nn

import pflbench
from pflbench import param, simulate
from pflbench.errors import InputError
from pflbench.method import AveragingServer, Client
from pflbench.models import Mlp
from pflbench.models.networks import build_mlp
from pflbench_algorithms.fedprox.client import FedProxClient

WORK: dict[str, Any] = {"rounds": 3, "lr": 0.05, "batch_size": 4, "seed": 3, "device": "cpu"}


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def mlp(shape: tuple[int, ...], classes: int) -> nn.Module:
    return build_mlp(Mlp(hidden=5), shape, classes)


@dataclass(frozen=True)
class Pull:
    """Parameters of a method of this test."""

    by: float = param(0.5, "pull", ge=0)


class Pulled(Client[Pull]):
    """A method of this test."""


def test_it_gives_the_numbers_of_the_plugin() -> None:
    federation = federation_of()
    done = simulate(FedProxClient, AveragingServer, federation, mlp, parameters={"mu": 0.1}, **WORK)
    named = pflbench.run("fedprox(mu=0.1)", federation, model="mlp(hidden=5)", eval_every=1, **WORK)
    columns = [name for name in named.metrics.columns if name in done.metrics.columns]
    assert len(columns) >= 9
    pd.testing.assert_frame_equal(done.metrics[columns], named.metrics[columns])
    pd.testing.assert_frame_equal(done.rounds, named.rounds[list(done.rounds.columns)])


def test_personal_models_are_the_rows_of_w() -> None:
    federation = federation_of()
    done = simulate(Client, AveragingServer, federation, small, **WORK)
    assert done.personal_models.shape == (len(UNEVEN), 53)
    own = done.model(2)
    with torch.no_grad():
        x, y = federation.test.client(2)
        correct = int((own(x).argmax(dim=1) == y).sum())
    last = done.metrics.query("round == 3 and client == 2 and split == 'test'")
    assert last["correct"].tolist() == [correct]
    with pytest.raises(InputError, match="no client 5: expected 0 to 4"):
        done.model(5)


def test_a_network_keeps_its_weights_and_a_factory_draws_them_from_the_seed() -> None:
    federation = federation_of()
    network = small()
    before = {name: p.clone() for name, p in network.named_parameters()}
    made = [simulate(Client, AveragingServer, federation, network, **WORK) for _ in range(2)]
    assert torch.equal(made[0].personal_models, made[1].personal_models)
    assert torch.equal(
        made[0].simulation.task.initial, torch.cat([p.flatten() for p in before.values()])
    )
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())
    drawn = [
        simulate(Client, AveragingServer, federation, small, **{**WORK, "seed": seed})
        for seed in (0, 0, 1)
    ]
    first, again, other = (one.simulation.task.initial for one in drawn)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_parameters_are_an_instance_or_names_of_the_class_that_the_client_names() -> None:
    federation = federation_of()
    given = simulate(Pulled, AveragingServer, federation, small, parameters=Pull(2.0), **WORK)
    named = simulate(Pulled, AveragingServer, federation, small, parameters={"by": 2}, **WORK)
    default = simulate(Pulled, AveragingServer, federation, small, **WORK)
    assert given.simulation.client.parameters == named.simulation.client.parameters == Pull(2.0)
    assert default.simulation.client.parameters == Pull()


def test_a_head_is_the_last_layer_unless_it_is_named() -> None:
    federation = federation_of()
    done = simulate(Client, AveragingServer, federation, small, **WORK)
    assert done.simulation.task.layout.head == "3."
    done = simulate(Client, AveragingServer, federation, small, head="1.", **WORK)
    assert done.simulation.task.layout.head == "1."


def test_a_metric_handed_over_is_a_column() -> None:
    def sure(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        return logits.softmax(dim=-1).amax(dim=-1).mul(mask).sum() / mask.sum()

    done = simulate(Client, AveragingServer, federation_of(), small, metrics={"sure": sure}, **WORK)
    assert done.metrics["sure"].between(1 / 3, 1).all()
    assert np.isfinite(done.metrics["accuracy"]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"client": AveragingServer}, r"client = .* expected a subclass of pflbench.Client"),
        ({"server": "fedavg"}, "server = 'fedavg' is not valid: expected a subclass of"),
        ({"federation": []}, "expected a pflbench.Federation"),
        ({"model": "mlp"}, "expected a torch.nn.Module"),
        ({"model": lambda a, b, c: small()}, "needs other arguments"),
        ({"rounds": 0}, "simulate.rounds = 0"),
        ({"lr": -1}, "simulate.lr = -1"),
        ({"local_epochs": 1, "local_steps": 1}, "both given"),
        ({"participation": 0}, "participation = 0"),
        ({"participation": "half"}, "participation = 'half'"),
        ({"head": "fc."}, "'fc.' of the model small is no prefix"),
        ({"parameters": {"mu": 1}}, "'mu'"),
        ({"engine": "stakced"}, "stacked"),
        ({"precision": "float23"}, "float32"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], said: str) -> None:
    given = {"client": Client, "server": AveragingServer, "federation": federation_of()}
    with pytest.raises(InputError, match=said):
        simulate(**{**given, "model": small, **WORK, **change})
