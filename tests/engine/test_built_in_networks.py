"""Every built-in network trains, in both engines, as in a plain loop of PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_federations import federation_of, simulate
from test_equal_to_pytorch import OPTIMISERS, plain_loop
from torch import nn

import pflbench
from pflbench.engine.given import head_of
from pflbench.engine.initial import build_network
from pflbench.method import Clip, LocalBudget, Schedule
from pflbench.schema import plugins
from pflbench.schema.plugin_choice import choose
from pflbench.schema.specs import resolve

CLASSES, ROUNDS, SIZES = 3, 2, (5, 4, 1)
IMAGE, COLOURED, WINDOW, TABLE = (1, 16, 16), (3, 8, 8), (2, 28), (7,)

NETWORKS: dict[str, tuple[int, ...]] = {
    "logistic": TABLE,
    "mlp": TABLE,
    "lenet": IMAGE,
    "cnn": (1, 8, 8),
    "cnn(padding=false)": IMAGE,
    "resnet8": COLOURED,
    "resnet8(norm=group)": COLOURED,
    "resnet18(norm=group)": COLOURED,
    "resnet18": COLOURED,
    "torchvision(name=squeezenet1_1)": (3, 32, 32),
    "har-cnn": WINDOW,
    "tabular": TABLE,
    "tabular(norm=layer, layers=1)": TABLE,
    "tabular(norm=none, dropout=0)": TABLE,
}
LARGE = {"resnet18", "resnet18(norm=group)", "torchvision(name=squeezenet1_1)"}
RARE = {"resnet18", "resnet18(norm=group)"}  # built of the same parts as resnet8


def test_each_built_in_network_is_here() -> None:
    names = {text.partition("(")[0] for text in NETWORKS}
    assert names == {spec.name for spec in plugins.installed().models.specs()}


def built(text: str, shape: tuple[int, ...]) -> tuple[nn.Module, str]:
    registry = plugins.installed()
    found = choose(text, registry.models, registry, example="mlp")
    build: Any = resolve(found.spec.build, owner=text)
    module = build_network(build, found.parameters, shape, CLASSES, seed=0, name=text)
    return module, head_of(module, found.spec.head)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize(
    "text", [pytest.param(t, marks=[pytest.mark.slow] * (t in RARE)) for t in NETWORKS]
)
def test_a_network_trains_as_in_a_plain_loop(text: str, engine: str) -> None:
    shape = NETWORKS[text]
    federation = federation_of(SIZES, classes=CLASSES, shape=shape, val=2, test=2)
    module, head = built(text, shape)
    rounds = 1 if text in LARGE else ROUNDS
    budget = LocalBudget(4, steps=2)
    made = simulate(
        federation=federation,
        module=module,
        head=head,
        engine=engine,
        optimiser=OPTIMISERS["sgd"][0],
        budget=budget,
    )
    for r in range(rounds):
        made.round(r)
    expected = plain_loop(module, "sgd", Clip(), Schedule(), budget, federation, rounds)
    found = made.task.layout.unflatten(made.server.w)  # type: ignore[attr-defined]
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("text", ["logistic", "tabular", "resnet8"])
def test_a_run_has_a_network_by_its_name(text: str) -> None:
    federation = federation_of(SIZES, classes=CLASSES, shape=NETWORKS[text])
    result = pflbench.run("fedavg", federation, model=text, rounds=1)
    assert result.metrics["loss"].notna().all()
