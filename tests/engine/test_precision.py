"""Other types than single precision: what they agree on, and what is computed in them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_federations import federation_of, simulate
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pflbench.engine import Simulation, drawing_weights
from pflbench.engine.kernels import DenseKernel, VmapKernel, kernel_for
from pflbench.method import Layout, LocalBudget, Samples, Sgd, Task
from pflbench.models import LeNet, Mlp
from pflbench.models.networks import build_lenet, build_mlp

MIXED: dict[str, Any] = {"dtype": torch.float32, "products": torch.bfloat16}
PRODUCTS = {
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "baddbmm_",
    "addmm_",
    "convolution",
    "linear",
    "convolution_backward",
    "_convolution",
    "matmul",
}


class Products(TorchDispatchMode):
    """Notes the types that matrix products and convolutions take."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:  # the signature that PyTorch calls
        if func.overloadpacket.__name__ in PRODUCTS:
            self.types |= {a.dtype for a in args if isinstance(a, Tensor)}
        return func(*args, **(kwargs or {}))


def watched(simulation: Simulation, name: str) -> Products:
    """Watch a method of the engine: the server's own products are none of its business."""
    original, products = getattr(simulation.engine, name), Products()

    def call(*args: Any, **options: Any) -> Any:
        with products:
            return original(*args, **options)

    setattr(simulation.engine, name, call)
    return products


def images(**options: Any) -> Simulation:
    """A convolutional network on images of 16×16."""
    federation = federation_of((6, 9, 4), shape=(1, 16, 16))
    with drawing_weights(0):
        module = build_lenet(LeNet(kernels=2), federation.input_shape, federation.classes)
    return simulate(federation=federation, module=module, **options)


def small(**options: Any) -> Simulation:
    return simulate(**options)


def played(simulation: Simulation, rounds: int = 2) -> tuple[float, Tensor, Tensor]:
    """Play; return the last training loss, the personal models and the validation losses."""
    for r in range(rounds):
        report = simulation.round(r)
    table, _ = simulation.evaluate(rounds, ["val"])
    models = simulation.personal(simulation.everyone)
    return report.train_loss, models, torch.tensor(table["loss"].to_numpy())


@pytest.mark.parametrize("make", [small, images])
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_double_and_single_precision_agree(make: Any, engine: str) -> None:
    double = played(make(engine=engine, dtype=torch.float64))
    single = played(make(engine=engine, dtype=torch.float32))
    assert double[1].dtype == torch.float64
    assert single[1].dtype == torch.float32
    for a, b in zip(double, single, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4, check_dtype=False)


@pytest.mark.parametrize("make", [small, images])
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_products_in_bfloat16_come_near_single_precision(make: Any, engine: str) -> None:
    single, mixed = (
        played(make(engine=engine, **options)) for options in ({"dtype": torch.float32}, MIXED)
    )
    assert mixed[1].dtype == torch.float32
    assert not torch.equal(single[1], mixed[1])
    assert mixed[0] == pytest.approx(single[0], abs=0.03)
    torch.testing.assert_close(mixed[2], single[2], rtol=0, atol=0.05)
    moved = (single[1] - make(dtype=torch.float32).task.initial).norm()
    # Processors accumulate convolutions in other orders, and a pooled maximum may be another one.
    assert (mixed[1] - single[1]).norm() < 0.2 * moved


@pytest.mark.parametrize("make", [small, images])
def test_engines_agree_to_the_rounding_of_bfloat16(make: Any) -> None:
    stacked, sequential = (played(make(engine=e, **MIXED)) for e in ("stacked", "sequential"))
    assert stacked[0] == pytest.approx(sequential[0], abs=0.03)
    torch.testing.assert_close(stacked[2], sequential[2], rtol=0, atol=0.05)
    moved = (sequential[1] - make(dtype=torch.float32).task.initial).norm()
    assert (stacked[1] - sequential[1]).norm() < 0.2 * moved


@pytest.mark.mostly_slow("bfloat16")
@pytest.mark.parametrize("make", [small, images])
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dtype": torch.float32}, torch.float32),
        (MIXED, torch.bfloat16),
        ({"dtype": torch.float64}, torch.float64),
    ],
    ids=["float32", "bfloat16", "float64"],
)
def test_every_product_of_local_training_and_evaluation_is_of_the_type(
    make: Any, engine: str, options: dict[str, Any], expected: torch.dtype
) -> None:
    simulation = make(engine=engine, **options)
    for name in ("train", "logits"):
        products = watched(simulation, name)
        simulation.round(0)
        simulation.evaluate(1)
        assert products.types == {expected}, name


def test_what_is_kept_and_sent_stays_in_single_precision() -> None:
    simulation = simulate("small_methods:KeepsState", record=True, **MIXED)
    report = simulation.round(0)
    for rows in (report.received, simulation.states):
        assert {t.dtype for t in rows.values()} <= {torch.float32, torch.int64}
    assert simulation.personal(simulation.everyone).dtype == torch.float32


def task_of(module: nn.Module, classes: int, products: torch.dtype | None) -> Task:
    layout = Layout.of(module)
    with torch.no_grad():
        w = layout.flatten(dict(module.named_parameters())).clone()
    return Task(module, layout, w, classes, Sgd(0.1), LocalBudget(4, epochs=1), products)


def test_the_kernel_of_perceptrons_computes_what_autocast_does() -> None:
    module = build_mlp(Mlp(hidden=16), (30,), 4)
    task, plain = task_of(module, 4, torch.bfloat16), task_of(module, 4, None)
    dense = kernel_for(task, None)
    assert isinstance(dense, DenseKernel)
    mapped = VmapKernel(task, lambda w, batch, context: task.loss(w, batch))
    g = torch.Generator().manual_seed(0)
    W = 0.2 * torch.randn(3, task.layout.columns, generator=g)
    mask = torch.ones(3, 7)
    mask[1, 5:] = 0
    batch = Samples(torch.randn(3, 7, 30, generator=g), torch.randint(4, (3, 7), generator=g), mask)
    share = mask / mask.sum(dim=1, keepdim=True)
    exact = torch.stack(
        [torch.func.grad(plain.loss)(W[k], Samples(*(f[k] for f in batch))) for k in range(3)]
    )
    for keep in (0.0, 0.9):
        results = []
        for kernel in (dense, mapped):
            into = torch.ones_like(W)
            losses = kernel.on(W, into)(batch, share, {}, keep, 1.0)
            results.append((losses, into, kernel.logits(W, batch.x)))
        for a, b in zip(*results, strict=True):
            assert a.dtype == b.dtype == torch.float32
            assert (a - b).norm() < 0.03 * b.norm()
        assert 0 < (results[0][1] - keep - exact).norm() < 0.03 * exact.norm()
