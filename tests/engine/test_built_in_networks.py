"""Every built-in network trains, in both engines, as in a plain loop of PyTorch."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from small_federations import arrays_of, simulate
from test_equal_to_pytorch import OPTIMISERS, plain_loop
from torch import nn

import pflbench
from pflbench import Federation
from pflbench.engine.given import head_of
from pflbench.engine.initial import build_network
from pflbench.engine.tokens import sized_by_tokens
from pflbench.errors import InputError
from pflbench.method import Clip, LocalBudget, Schedule
from pflbench.schema import plugins
from pflbench.schema.plugin_choice import choose
from pflbench.schema.specs import resolve

CLASSES, ROUNDS, SIZES = 3, 2, (5, 4, 1)
IMAGE, COLOURED, WINDOW, TABLE = (1, 16, 16), (3, 8, 8), (2, 28), (7,)
TEXT = (6,)

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
    "char-lstm(hidden=6)": TEXT,
    "text-cnn(embedding=4, maps=3)": TEXT,
    "transformer(width=8, heads=2)": TEXT,
    "tabular": TABLE,
    "tabular(norm=layer, layers=1)": TABLE,
    "tabular(norm=none, dropout=0)": TABLE,
}
LARGE = {"resnet18", "resnet18(norm=group)", "torchvision(name=squeezenet1_1)"}
NOT_MAPPED = {"char-lstm(hidden=6)"}


def test_each_built_in_network_is_here() -> None:
    names = {text.partition("(")[0] for text in NETWORKS}
    assert names == {spec.name for spec in plugins.installed().models.specs()}


def data(text: str) -> Federation:
    """Return samples that the network takes: tokens, or floating point."""
    shape = NETWORKS[text]
    clients = arrays_of(SIZES, classes=CLASSES, shape=shape, val=2, test=2)
    if shape is TEXT:
        tokens = ("train_x", "val_x", "test_x")
        clients = [
            {k: np.abs(4 * v).astype(int) if k in tokens else v for k, v in client.items()}
            for client in clients
        ]
    return Federation.from_arrays(clients, CLASSES)


def built(text: str, federation: Federation) -> tuple[nn.Module, str]:
    registry = plugins.installed()
    found = choose(text, registry.models, registry, example="mlp")
    build: Any = resolve(found.spec.build, owner=text)
    parameters, shape = sized_by_tokens(found.parameters, federation), federation.input_shape
    module = build_network(build, parameters, shape, CLASSES, seed=0, name=text)
    return module, head_of(module, found.spec.head)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.mostly_slow("tabular-", "cnn-sequential")
@pytest.mark.parametrize("text", NETWORKS)
def test_a_network_trains_as_in_a_plain_loop(text: str, engine: str) -> None:
    if text in NOT_MAPPED and engine == "stacked":
        pytest.skip("vmap does not map it: refused for the stacked engine")
    federation = data(text)
    module, head = built(text, federation)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["logistic", "tabular", "resnet8", *(t for t in NETWORKS if NETWORKS[t] is TEXT)]
)
def test_a_run_has_a_network_by_its_name(text: str) -> None:
    result = pflbench.run("fedavg", data(text), model=text, rounds=1)
    assert result.metrics["loss"].notna().all()


def test_clients_with_tokens_are_divided_and_join_later() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 160)
    x = rng.integers(0, 20, (160, 6)) + 10 * y[:, None]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "texts.npz"
        np.savez(path, x=x, y=y)
        result = pflbench.run(
            "fedavg",
            f"npz:{path}",
            partition="dirichlet(alpha=5)",
            clients=6,
            model="text-cnn(embedding=4, maps=3)",
            rounds=2,
            new_clients=0.34,
            shots="1,all",
            onboarding_steps=3,
        )
    assert result.metrics["loss"].notna().all()
    assert (result.onboarding["loss"] > 0).all()


@pytest.mark.parametrize(
    ("model", "like", "words"),
    [
        ("mlp", "transformer(width=8, heads=2)", "takes floating point, and the data's samples"),
        ("resnet8", "transformer(width=8, heads=2)", "needs images"),
        ("transformer", "mlp", "needs samples of 1 whole numbers"),
        ("transformer(vocabulary=90)", "mlp", "takes whole numbers .tokens., and the data's"),
        ("text-cnn(vocabulary=2)", "transformer(width=8, heads=2)", "a vocabulary of 2 tokens"),
    ],
)
def test_numbers_for_tokens_and_tokens_for_numbers_are_refused(
    model: str, like: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        pflbench.run("fedavg", data(like), model=model, rounds=1)
