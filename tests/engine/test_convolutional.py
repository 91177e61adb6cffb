"""Convolutional networks' gradients and outputs by hand, against autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_federations import federation_of, simulate
from torch import Tensor, nn

from pflbench.engine.convolutional import ConvolutionalGradient
from pflbench.method import Layout, LocalBudget, Samples, Sgd, Task
from pflbench.models import LeNet
from pflbench.models.networks import build_lenet


def task_of(module: nn.Module, classes: int, dtype: torch.dtype = torch.float64) -> Task:
    layout = Layout.of(module)
    w = torch.zeros(layout.columns)
    task = Task(module, layout, w, classes, Sgd(0.1), LocalBudget(4, epochs=1))
    return task.to(torch.device("cpu"), dtype)


def samples_of(n: int, shape: tuple[int, ...], classes: int, seed: int) -> Samples:
    """Some images, with areas of one grey: windows to pool in which several are the largest."""
    g = torch.Generator().manual_seed(seed)
    mask = (torch.rand(n, generator=g) < 0.7).double()
    mask[0] = 1
    x = torch.randint(-1, 3, (n, *shape), generator=g).double()
    return Samples(x, torch.randint(0, classes, (n,), generator=g), mask)


def assert_gradient(task: Task, w: Tensor, samples: Samples) -> None:
    by_hand = ConvolutionalGradient.of(task.module, task.layout)
    assert by_hand is not None
    real = samples.mask > 0
    alone = Samples(samples.x[real], samples.y[real], samples.mask[real])
    expected, expected_loss = task.gradient(w, alone)
    before = w.clone()
    for _ in range(2):  # the second time in memory that has been used
        g, loss = by_hand.gradient(w, samples)
        torch.testing.assert_close(loss, expected_loss, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(g, expected, rtol=1e-9, atol=1e-11)
    assert torch.equal(w, before)
    outputs = by_hand.logits(w, samples.x)
    torch.testing.assert_close(outputs, task.logits(w, samples.x), rtol=1e-10, atol=1e-12)


PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def blocks(draw: Any, channels: int) -> list[nn.Module]:
    groups = draw(st.sampled_from([g for g in (1, 2) if channels % g == 0]))
    convolution = nn.Conv2d(
        channels,
        groups * draw(st.integers(1, 2)),
        draw(PAIRS),
        stride=draw(st.integers(1, 2)),
        padding=draw(st.integers(0, 2)),
        dilation=draw(st.integers(1, 2)),
        groups=groups,
    )
    pool = draw(PAIRS)
    padding = min(pool) // 2 if draw(st.booleans()) else 0
    ceil_mode = draw(st.booleans())
    # A dilated window that begins in padding, or ends beyond it, may hold no pixel at all: of
    # that, PyTorch's own pooling makes an index outside the image.
    dilation = 1 if padding or ceil_mode else draw(st.integers(1, 2))
    pooling = nn.MaxPool2d(pool, draw(st.none() | PAIRS), padding, dilation, ceil_mode=ceil_mode)
    order = ([nn.ReLU()], [nn.ReLU(), pooling], [pooling, nn.ReLU()])
    return [convolution, *draw(st.sampled_from(order))]


@given(data=st.data(), n=st.integers(1, 5), channels=st.integers(1, 3), seed=st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_gradients_are_those_of_autograd(data: Any, n: int, channels: int, seed: int) -> None:
    layers: list[nn.Module] = []
    sides = (data.draw(st.integers(6, 11)), data.draw(st.integers(6, 11)))
    out = channels
    for _ in range(data.draw(st.integers(1, 2))):
        layers += data.draw(blocks(out))
        out = next(m for m in reversed(layers) if isinstance(m, nn.Conv2d)).out_channels
    layers.append(nn.Flatten())
    try:
        width = nn.Sequential(*layers)(torch.zeros(1, channels, *sides)).shape[1]
    except RuntimeError:  # nothing is left of so small an image
        assume(False)
    assume(width > 0)
    if data.draw(st.booleans()):
        layers += [nn.Linear(width, 4), nn.ReLU()]
        width = 4
    module = nn.Sequential(*layers, nn.Linear(width, 3))
    task = task_of(module, 3)
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(task.layout.columns, generator=generator, dtype=torch.float64)
    assert_gradient(task, w, samples_of(n, (channels, *sides), 3, seed))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_literatures_network(channels: int) -> None:
    shape = (channels, 32, 32)
    task = task_of(build_lenet(LeNet(), shape, 10), 10)
    generator = torch.Generator().manual_seed(0)
    w = 0.05 * torch.randn(task.layout.columns, generator=generator, dtype=torch.float64)
    assert_gradient(task, w, samples_of(9, shape, 10, seed=1))


def conv(*arguments: Any, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(1, 1, *arguments, **more)


SHARED = nn.Linear(4, 4)
HOOKED = nn.Conv2d(1, 1, 3)
HOOKED.register_forward_hook(lambda module, given, out: 2 * out)


@pytest.mark.parametrize(
    "layers",
    [
        [conv(3), nn.Tanh(), nn.Flatten(), nn.Linear(4, 2)],
        [conv(3), nn.Flatten(), nn.Linear(4, 2)],
        [conv(3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 2)],
        [conv(3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(1, 2)],
        [conv(3), nn.ReLU(), nn.MaxPool2d(1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 2)],
        [conv(3), nn.ReLU(), nn.MaxPool2d(2, return_indices=True), nn.Flatten(), nn.Linear(1, 2)],
        [conv(3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)],
        [conv(3, padding="same"), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)],
        [conv(3, padding=1, padding_mode="circular"), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)],
        [conv(3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 4), nn.ReLU()],
        [conv(3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 2)],
        [conv(3), nn.ReLU(), nn.Flatten(2), nn.Linear(4, 2)],
        [conv(3), nn.ReLU(), nn.Flatten(), SHARED, nn.ReLU(), SHARED],
        [conv(3), nn.ReLU(), nn.Flatten()],
        [conv(3), nn.ReLU()],
        [HOOKED, nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)],
        [nn.Sequential(conv(3)), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)],
        [nn.Flatten(), nn.Linear(16, 2)],
        [],
    ],
    ids=lambda layers: "-".join(type(layer).__name__ for layer in layers),
)
def test_networks_of_other_forms_are_left_to_autograd(layers: list[nn.Module]) -> None:
    module = nn.Sequential(*layers)
    assert ConvolutionalGradient.of(module, Layout.of(module)) is None


@pytest.mark.mostly_slow("AllTerms")
@pytest.mark.parametrize("client", ["AllSmallPlaces", "AllTerms", "KeepsState", "OwnLoss"])
def test_the_engines_agree_on_uneven_clients(client: str) -> None:
    """The stacked engine maps autograd; the sequential one computes these gradients by hand."""
    module = build_lenet(LeNet(kernels=2), (1, 16, 16), 3).double()
    played = []
    for engine in ("sequential", "stacked"):
        simulation = simulate(
            f"small_methods:{client}",
            federation=federation_of((5, 2, 9), shape=(1, 16, 16)),
            module=module,
            head="fc3.",
            engine=engine,
        )
        losses = [simulation.round(r).train_loss for r in range(3)]
        played.append((losses, simulation.personal(simulation.everyone), simulation.evaluate(3)[0]))
    (losses, models, table), (other_losses, others, other) = played
    assert losses == pytest.approx(other_losses, rel=1e-9)
    torch.testing.assert_close(models, others, rtol=1e-8, atol=1e-10)
    assert (table.select_dtypes("number") - other.select_dtypes("number")).abs().max().max() < 1e-8


def test_clients_side_by_side_do_not_share_memory() -> None:
    """Each thread has its own: two cores give what one gives."""
    module = build_lenet(LeNet(), (1, 16, 16), 3)
    federation = federation_of((160, 160, 160, 160), shape=(1, 16, 16))  # worth a core
    found = []
    threads = torch.get_num_threads()
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            simulation = simulate(
                federation=federation,
                module=module,
                head="fc3.",
                engine="sequential",
                budget=LocalBudget(160, epochs=5),
            )
            simulation.round(0)
            found.append(simulation.personal(simulation.everyone))
        finally:
            torch.set_num_threads(threads)
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-11)
