"""Gradients and outputs of many models at once, against autograd on one model at a time."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pflbench.engine.kernels import DenseKernel, VmapKernel, kernel_for
from pflbench.method import Layout, LocalBudget, Samples, Sgd, Task
from pflbench.models import LeNet, Mlp
from pflbench.models.networks import build_lenet, build_mlp


def task_of(module: nn.Module, classes: int, dtype: torch.dtype = torch.float64) -> Task:
    layout = Layout.of(module)
    with torch.no_grad():
        w = layout.flatten(dict(module.named_parameters())).clone()
    task = Task(module, layout, w, classes, Sgd(0.1), LocalBudget(4, epochs=1))
    return task.to(torch.device("cpu"), dtype)


def batch_of(K: int, B: int, shape: tuple[int, ...], classes: int, seed: int) -> Samples:
    g = torch.Generator().manual_seed(seed)
    mask = (torch.rand(K, B, generator=g) < 0.7).double()
    mask[:, 0] = 1
    x = torch.randn(K, B, *shape, generator=g, dtype=torch.float64)
    return Samples(x, torch.randint(0, classes, (K, B), generator=g), mask)


def share_of(batch: Samples) -> Tensor:
    return batch.mask / batch.mask.sum(dim=1, keepdim=True)


def by_autograd(task: Task, W: Tensor, batch: Samples) -> tuple[Tensor, Tensor]:
    """Each row's loss and gradient, over the samples alone, by the network's own forward."""
    losses, gradients = [], []
    for k in range(len(W)):
        parts = task.layout.unflatten(W[k].clone())
        tensors = {n: t.clone().requires_grad_() for n, t in parts.items()}
        real = batch.mask[k] > 0
        out = torch.func.functional_call(task.module, tensors, (batch.x[k][real],))
        loss = nn.functional.cross_entropy(out, batch.y[k][real])
        grads = torch.autograd.grad(loss, [tensors[n] for n in task.layout.names])
        losses.append(loss.detach())
        gradients.append(torch.cat([g.flatten() for g in grads]))
    return torch.stack(losses), torch.stack(gradients)


@given(
    K=st.integers(1, 4),
    B=st.integers(1, 6),
    layers=st.integers(1, 3),
    classes=st.integers(1, 4),
    seed=st.integers(0, 50),
)
@settings(max_examples=25, deadline=None)
def test_kernels_compute_what_autograd_does(
    K: int, B: int, layers: int, classes: int, seed: int
) -> None:
    shape = (2, 3)
    task = task_of(build_mlp(Mlp(hidden=4, layers=layers), shape, classes), classes)
    generator = torch.Generator().manual_seed(seed)
    W = torch.randn(K, task.layout.columns, generator=generator, dtype=torch.float64)
    batch = batch_of(K, B, shape, classes, seed)
    losses, gradients = by_autograd(task, W, batch)
    dense = DenseKernel.of(task.module, task.layout)
    assert dense is not None
    mapped = VmapKernel(task, lambda w, b, c: task.loss(w, b))
    for kernel in (dense, mapped):
        out = torch.full_like(W, torch.nan)  # every column has to be written
        before = W.clone()
        got = kernel.on(W, out)(batch, share_of(batch), {}, 0.0, 1.0)
        torch.testing.assert_close(got, losses, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(out, gradients, rtol=1e-10, atol=1e-12)
        assert torch.equal(W, before)
        kernel.on(W, out)(batch, share_of(batch), {}, 0.5, -2.0)  # half of what is there is kept
        torch.testing.assert_close(out, -1.5 * gradients, rtol=1e-10, atol=1e-12)
        logits = kernel.logits(W, batch.x)
        for k in range(K):
            torch.testing.assert_close(logits[k], task.logits(W[k], batch.x[k]))


def test_a_prefix_of_the_rows_can_be_written() -> None:
    task = task_of(build_mlp(Mlp(hidden=4), (3,), 3), 3)
    W = torch.randn(4, task.layout.columns, dtype=torch.float64)
    out = torch.zeros_like(W)
    batch = batch_of(2, 3, (3,), 3, seed=1)
    kernel = kernel_for(task, None)
    kernel.on(W[:2], out[:2])(batch, share_of(batch), {}, 0.0, 1.0)
    torch.testing.assert_close(out[:2], by_autograd(task, W[:2], batch)[1])
    assert (out[2:] == 0).all()


def test_a_convolutional_network_is_mapped() -> None:
    task = task_of(build_lenet(LeNet(kernels=2), (1, 16, 16), 3), 3)
    kernel = kernel_for(task, None)
    assert isinstance(kernel, VmapKernel)
    W = 0.2 * torch.randn(2, task.layout.columns, dtype=torch.float64)
    batch = batch_of(2, 4, (1, 16, 16), 3, seed=0)
    out = torch.empty_like(W)
    losses, gradients = by_autograd(task, W, batch)
    torch.testing.assert_close(kernel.on(W, out)(batch, share_of(batch), {}, 0.0, 1.0), losses)
    torch.testing.assert_close(out, gradients, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.ReLU()),
        nn.Sequential(nn.ReLU(), nn.Linear(3, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.Flatten(), nn.ReLU(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 2)),
        nn.Sequential(nn.Flatten(2), nn.Linear(3, 2)),
        nn.Sequential(OrderedDict(inner=nn.Sequential(nn.Linear(3, 2)))),
        nn.Sequential(nn.Flatten()),
    ],
    ids=lambda m: "-".join(type(layer).__name__ for layer in m),
)
def test_networks_of_other_forms_are_not_taken_for_perceptrons(module: nn.Module) -> None:
    assert DenseKernel.of(module, Layout.of(module)) is None


def test_one_layer_used_twice_is_not_taken_for_two() -> None:
    """Its parameters occur once in a row: the perceptron's rule would read the wrong columns."""
    shared = nn.Linear(4, 4)
    module = nn.Sequential(shared, nn.ReLU(), shared)
    task = task_of(module, 4)
    W = torch.randn(2, task.layout.columns, dtype=torch.float64)
    batch = batch_of(2, 3, (4,), 4, seed=3)
    out = torch.empty_like(W)
    losses, gradients = by_autograd(task, W, batch)
    torch.testing.assert_close(
        kernel_for(task, None).on(W, out)(batch, share_of(batch), {}, 0.0, 1.0), losses
    )
    torch.testing.assert_close(out, gradients)


@pytest.mark.parametrize("kind", ["hook", "subclass"])
def test_a_linear_layer_that_does_more_is_not_taken_for_plain(kind: str) -> None:
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    if kind == "subclass":
        module = nn.Sequential(Doubled(3, 4), nn.ReLU(), nn.Linear(4, 2))
    else:
        module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        module[0].register_forward_hook(lambda m, a, out: 2 * out)
    task = task_of(module, 2)
    W = torch.randn(2, task.layout.columns, dtype=torch.float64)
    batch = batch_of(2, 3, (3,), 2, seed=3)
    losses, _ = by_autograd(task, W, batch)
    got = kernel_for(task, None).on(W, torch.empty_like(W))(batch, share_of(batch), {}, 0.0, 1.0)
    torch.testing.assert_close(got, losses)
