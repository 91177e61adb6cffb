"""A network's initial weights are its own: what a user made is not replaced."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import odd_networks
import pytest
import torch
from small_federations import federation_of, simulate
from torch import Tensor, nn

import pflbench
from pflbench import Federation, ModelSpec
from pflbench.engine import build_network
from pflbench.engine.initial import own_weights
from pflbench.method import Layout
from pflbench.models import LeNet, Mlp
from pflbench.models.networks import build_lenet, build_mlp
from pflbench.runs import RunRequest, plan
from pflbench.streams import torch_stream

STILL: dict[str, Any] = {"rounds": 1, "lr": 1e-30, "momentum": 0, "weight_decay": 0}


@pytest.fixture
def use(plugin: Callable[..., None]) -> Callable[..., str]:
    def install(build: str, head: str = "head.") -> str:
        plugin(models=[ModelSpec("odd", "of a test", f"odd_networks:{build}", head)])
        return "odd"

    return install


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_weights_that_build_set_are_not_replaced(
    engine: str, use: Callable[..., str], federation: Federation
) -> None:
    """All classes are as likely as each other: ln 3 whatever the sample."""
    model = use("constants", head="1.")
    result = pflbench.run("local", federation, model=model, engine=engine, **STILL)
    assert result.metrics["loss"].to_numpy() == pytest.approx(log(3), rel=1e-6)


def test_a_simulation_by_hand_does_not_replace_weights() -> None:
    module = odd_networks.Plain(None, (2, 3), 3)
    own = torch.cat([p.detach().flatten() for p in module.parameters()])
    made = simulate(module=module, head="head.", dtype=torch.float32)
    assert torch.equal(made.task.initial, own)


def test_weights_drawn_from_any_shared_generator_follow_from_the_seed(
    use: Callable[..., str], federation: Federation
) -> None:
    model, tables = use("drawn_by_all"), []
    for state, seed in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(state)
        np.random.seed(state)
        run = pflbench.run("fedavg", federation, model=model, rounds=1, seed=seed)
        tables.append(run.metrics)
    assert tables[0].equals(tables[1])
    assert not tables[0]["loss"].equals(tables[2]["loss"])


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize(
    ("build", "parameters", "shape", "classes"),
    [
        (build_mlp, Mlp(), (1, 28, 28), 10),
        (build_mlp, Mlp(hidden=7, layers=3), (5,), 3),
        (build_lenet, LeNet(), (3, 32, 32), 10),
        (build_lenet, LeNet(kernels=2), (1, 28, 28), 62),
    ],
)
def test_built_in_networks_keep_the_weights_of_earlier_versions(
    build: Any, parameters: Any, shape: tuple[int, ...], classes: int, seed: int
) -> None:
    """Earlier versions let every layer draw again, in order: bit for bit the same."""
    module = build_network(build, parameters, shape, classes, seed=seed, name="")
    layout = Layout.of(module)
    row = own_weights(module, layout, torch.float32)
    other = build(parameters, shape, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_stream(seed, "init").initial_seed())
        for part in other.modules():
            if isinstance(part, nn.Linear | nn.Conv2d):
                part.reset_parameters()
    assert torch.equal(row, torch.cat([p.detach().flatten() for p in other.parameters()]))


# Frozen and tied parameters


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_frozen_parameters_are_not_trained(engine: str) -> None:
    module = odd_networks.frozen_body(None, (2, 3), 3)
    before = {n: p.detach().clone() for n, p in module.named_parameters()}
    made = simulate(module=module, head="head.", engine=engine)
    assert made.task.layout.names == ("head.weight", "head.bias")
    made.round(0)
    rows = made.personal(made.everyone)
    assert rows.shape == (5, made.task.layout.columns)
    assert not torch.equal(rows[0], made.task.initial)
    for name, p in (*module.named_parameters(), *made.task.module.named_parameters()):
        assert torch.equal(p.double(), before[name].double())


def test_frozen_parameters_are_sent_once(use: Callable[..., str], federation: Federation) -> None:
    whole, frozen = (
        pflbench.run("fedavg", federation, model=use(build), rounds=2)
        for build in ("Plain", "frozen_body")
    )
    trained = (odd_networks.WIDTH + 1) * 3
    assert frozen.summary["parameters"] == trained
    kept = (6 + 1) * odd_networks.WIDTH
    assert frozen.summary["bytes_down"] == 4 * (2 * trained + kept) * federation.clients
    assert whole.summary["parameters"] == trained + kept


def test_frozen_parameters_follow_from_the_seed_after_a_resumption(
    use: Callable[..., str], federation: Federation
) -> None:
    request = RunRequest("fedavg", federation, model=use("frozen_body"), seed=3)
    one, other = (plan(request).module.first for _ in range(2))
    assert isinstance(one, nn.Linear)
    assert isinstance(other, nn.Linear)
    assert torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_tied_parameters_are_one(engine: str) -> None:
    """A step of plain SGD with autograd, by hand."""
    module = odd_networks.Tied(None, (2, 3), 3).double()
    data = federation_of((8,))

    def batches(client: int, round: int) -> np.ndarray:
        return np.arange(8)[None]

    made = simulate(module=module, federation=data, head="head.", engine=engine, batches=batches)
    made.round(0)
    x, y = data.train.client(0)
    nn.functional.cross_entropy(module(x.double()), y).backward()

    def stepped(p: Tensor) -> Tensor:
        assert p.grad is not None
        return (p - 0.05 * (p.grad + 1e-3 * p)).detach().flatten()

    wanted = torch.cat([stepped(p) for p in module.parameters()])
    assert made.task.layout.columns == 36 + 6 + 6 + 18 + 3
    torch.testing.assert_close(made.personal(made.everyone)[0], wanted)
