"""The built-in networks, and that a plugin's network starts the same in every run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import pflbench
from pflbench import ModelSpec, hookimpl
from pflbench.errors import InputError
from pflbench.method import Layout
from pflbench.models import LeNet, Mlp
from pflbench.models.networks import build_lenet, build_mlp
from pflbench.schema import plugins
from pflbench.schema.plugin_choice import choose
from pflbench.schema.specs import resolve


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {n: tuple(p.shape) for n, p in module.named_parameters()}


def test_the_mlp_is_the_official_one() -> None:
    module = build_mlp(Mlp(), (1, 28, 28), 10)
    assert list(shapes(module).values()) == [
        (128, 784),
        (128,),
        (128, 128),
        (128,),
        (10, 128),
        (10,),
    ]
    assert Layout.of(module).columns == 118_282


def test_the_lenet_is_the_official_one() -> None:
    module = build_lenet(LeNet(), (3, 32, 32), 10)
    assert list(shapes(module).values()) == [
        (16, 3, 5, 5),
        (16,),
        (32, 16, 5, 5),
        (32,),
        (120, 800),
        (120,),
        (84, 120),
        (84,),
        (10, 84),
        (10,),
    ]


COUNTS = {
    "logistic": ((1, 28, 28), 10, 784 * 10 + 10),
    "cnn": ((1, 28, 28), 10, 1_663_370),  # McMahan et al. 2017, section 3
    "cnn(padding=false)": ((1, 28, 28), 10, 582_026),  # PFLlib's FedAvgCNN
    "resnet8": ((3, 32, 32), 10, 78_042),
    "resnet18": ((3, 32, 32), 10, 11_173_962),
    "resnet18(norm=group)": ((3, 32, 32), 10, 11_173_962),
    "char-lstm(vocabulary=80)": ((80,), 80, 819_920),  # LEAF's, and 2,048 second biases
    "text-cnn(vocabulary=1000)": ((20,), 2, 300_000 + 300 * 100 * 12 + 300 + 300 * 2 + 2),
    "har-cnn": ((9, 128), 6, 2_253_958),  # PFLlib's HARCNN
}


def built(text: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    registry = plugins.installed()
    found = choose(text, registry.models, registry, example="mlp")
    build: Any = resolve(found.spec.build, owner=text)
    module: nn.Module = build(found.parameters, shape, classes)
    return module


@pytest.mark.parametrize("text", COUNTS)
def test_networks_have_the_parameters_of_the_literature(text: str) -> None:
    shape, classes, count = COUNTS[text]
    assert sum(p.numel() for p in built(text, shape, classes).parameters()) == count


def test_the_resnet18_is_torchvisions_but_for_its_stem() -> None:
    ours = built("resnet18", (3, 32, 32), 10)
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    values = [*theirs.state_dict().values()]
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.mostly_slow("mobilenet")
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "googlenet", "vit_b_32"])
def test_networks_of_torchvision_have_the_classes_of_the_data(name: str) -> None:
    module = built(f"torchvision(name={name})", (3, 64, 64), 7).eval()
    assert module(torch.zeros(2, 3, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize(
    ("text", "shape", "words"),
    [
        ("torchvision(name=resnet5)", (3, 64, 64), "Did you mean 'resnet50'"),
        ("torchvision", (1, 64, 64), "images of 3 channels"),
        ("resnet18", (32, 32, 3), "channels"),
        ("cnn", (784,), "model mlp takes any shape"),
        ("har-cnn", (9, 20), "at least 28 points in time"),
        ("har-cnn", (1, 28, 28), "windows of channels × time"),
    ],
)
def test_a_network_says_what_samples_it_takes(
    text: str, shape: tuple[int, ...], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        built(text, shape, 4)


@given(
    hidden=st.integers(1, 9),
    layers=st.integers(1, 4),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    classes=st.integers(1, 5),
)
def test_perceptrons_of_every_size(
    hidden: int, layers: int, shape: tuple[int, ...], classes: int
) -> None:
    module = build_mlp(Mlp(hidden, layers), shape, classes)
    assert module(torch.zeros(3, *shape)).shape == (3, classes)
    names = list(shapes(module))
    assert len(names) == len(set(names)) == 2 * (layers + 1)
    head = Layout.of(module, "layer_output.").head_columns()
    assert head.sum() == (hidden + 1) * classes


@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 28, 28), (3, 32, 33), (2, 17, 64)])
def test_lenets_of_every_size(shape: tuple[int, ...]) -> None:
    module = build_lenet(LeNet(kernels=2), shape, 4)
    assert module(torch.zeros(2, *shape)).shape == (2, 4)
    assert Layout.of(module, "fc3.").head_columns().sum() == 85 * 4


@pytest.mark.parametrize("shape", [(784,), (28, 28), (1, 15, 28), (1, 28, 15), (1, 3, 28, 28)])
def test_lenet_needs_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="model mlp takes any shape"):
        build_lenet(LeNet(), shape, 4)


class Scaled(nn.Module):
    """Draws a parameter of its own, and has no `reset_parameters`."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(inputs))
        self.out = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.out(x.flatten(1) * self.scale)
        return logits


def build_scaled(parameters: object, shape: tuple[int, ...], classes: int) -> nn.Module:
    return Scaled(torch.Size(shape).numel(), classes)


class ScaledPlugin:
    @hookimpl
    def pflbench_models(self) -> list[ModelSpec]:
        return [ModelSpec("scaled", "of a test", build=f"{__name__}:build_scaled", head="out.")]


def test_a_plugins_network_starts_the_same_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from small_federations import federation_of

    registry = plugins.load(extra={"in-test": ScaledPlugin()})
    monkeypatch.setattr(plugins, "installed", lambda: registry)
    tables = []
    for state, seed in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(state)  # which must not matter
        result = pflbench.run("fedavg", federation_of(), model="scaled", rounds=1, seed=seed)
        tables.append(result.metrics)
    assert tables[0].equals(tables[1])
    assert not tables[0].loss.equals(tables[2].loss)
