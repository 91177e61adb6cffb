"""FedAvg is what a plain loop of `nn.Module` and `torch.optim` computes, for any network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_federations import federation_of, simulate
from torch import Tensor, nn

from pflbench import Federation
from pflbench.engine import Simulation, drawing_weights
from pflbench.engine.batches import seeded_batches
from pflbench.engine.draws import Draws, seeds_of
from pflbench.engine.optimisers import Adagrad, Adam, AdamW, RmsProp
from pflbench.method import Clip, LocalBudget, Optimiser, Schedule, Sgd
from pflbench.method.schedule import Cosine, Exponential, MultiStep, Step

CLASSES, ROUNDS, SHAPE = 3, 3, (2, 4)
BUDGET = LocalBudget(4, epochs=2)


class Recurrent(nn.Module):
    """An LSTM over the rows of a sample, with dropout between its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, 2, batch_first=True, dropout=0.3)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.lstm(x)[0][:, -1])
        return out


class Functional(nn.Module):
    """Dropout that is a function, noise of its own, and a buffer that never changes."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(8, 6), nn.Linear(6, CLASSES)
        self.register_buffer("scale", torch.full((6,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        z = F.dropout(F.elu(self.body(x.flatten(1))) * self.scale, 0.4, self.training)
        if self.training:
            z = z + 0.1 * torch.randn_like(z) * torch.rand(6, dtype=z.dtype)
        out: Tensor = self.head(z)
        return out


class Attention(nn.Module):
    """One encoder layer over the rows of a sample, with dropout in the attention."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.2, batch_first=True)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.encoder(x).mean(1))
        return out


def convolutional(norm: Callable[[int], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2)),
        nn.Conv2d(1, 4, 2),
        norm(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, CLASSES),
    )


def perceptron(*between: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(8, 6), *between, nn.ReLU(), nn.Linear(6, CLASSES))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": perceptron,
    "batch-norm": lambda: perceptron(nn.BatchNorm1d(6)),
    "batch-norm-2d": lambda: convolutional(nn.BatchNorm2d),
    "cumulative-batch-norm": lambda: perceptron(nn.BatchNorm1d(6, momentum=None)),
    "instance-norm": lambda: convolutional(
        lambda n: nn.InstanceNorm2d(n, affine=True, track_running_stats=True)
    ),
    "group-norm": lambda: convolutional(lambda n: nn.GroupNorm(2, n)),
    "layer-norm": lambda: perceptron(nn.LayerNorm(6)),
    "dropout": lambda: perceptron(nn.Dropout(0.5)),
    "batch-norm-and-dropout": lambda: perceptron(nn.BatchNorm1d(6), nn.Dropout(0.2)),
    "functional": Functional,
    "lstm": Recurrent,
    "attention": Attention,
}
OPTIMISERS: dict[str, tuple[Optimiser, Callable[..., torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (Sgd(0.05, 0.9, 1e-3), torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (
        Sgd(0.05, 0.9, 1e-3, nesterov=True),
        torch.optim.SGD,
        {"momentum": 0.9, "nesterov": True},
    ),
    "dampened": (Sgd(0.05, 0.9, 1e-3, 0.3), torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    "adam": (Adam(0.01, 1e-3), torch.optim.Adam, {}),
    "adamw": (AdamW(0.01, 1e-3), torch.optim.AdamW, {}),
    "adagrad": (Adagrad(0.02, 1e-3, lr_decay=0.1), torch.optim.Adagrad, {"lr_decay": 0.1}),
    "rmsprop": (RmsProp(0.01, 1e-3), torch.optim.RMSprop, {}),
    "rmsprop-centred": (
        RmsProp(0.01, 1e-3, momentum=0.5, centered=True),
        torch.optim.RMSprop,
        {"momentum": 0.5, "centered": True},
    ),
}


def draws_of(seed: int) -> Draws:
    return Draws([seed], mapped=False, device=torch.device("cpu"))


def plain_loop(
    module: nn.Module,
    optimiser: str,
    clip: Clip,
    schedule: Schedule,
    budget: LocalBudget,
    federation: Federation | None = None,
    rounds: int = ROUNDS,
) -> dict[str, Tensor]:
    """Play FedAvg's rounds with one copy of the network a client; return the global state."""
    federation = federation or federation_of(shape=SHAPE)
    sizes = federation.train.sizes
    ours, kind, options = OPTIMISERS[optimiser]
    batches = seeded_batches(0, "batches", sizes, budget)
    state = {k: v.double() for k, v in module.state_dict().items()}
    for r in range(rounds):
        made = []
        for i in range(len(sizes)):
            own = copy.deepcopy(module).double()
            own.load_state_dict(state)
            own.train()
            x, y = federation.train.client(i)
            lr = ours.lr * schedule.factor(r)
            steps = kind(own.parameters(), lr=lr, weight_decay=ours.weight_decay, **options)
            for s, batch in enumerate(batches(i, r)):
                index = torch.from_numpy(batch[batch >= 0])
                for layer in own.modules():
                    if isinstance(layer, nn.modules.batchnorm._NormBase):
                        layer.train(len(index) > 1)
                seed = seeds_of(0, "draws", r)(i, s)
                torch.manual_seed(seed)
                steps.zero_grad()
                inputs = x[index].double() if x.is_floating_point() else x[index]
                # Where dropout gets a transposed tensor, PyTorch draws in the order of its memory.
                transposes = any(isinstance(m, nn.MultiheadAttention) for m in own.modules())
                with draws_of(seed) if transposes else nullcontext():
                    F.cross_entropy(own(inputs), y[index]).backward()
                if clip.value is not None:
                    nn.utils.clip_grad_value_(own.parameters(), clip.value)
                if clip.norm is not None:
                    nn.utils.clip_grad_norm_(own.parameters(), clip.norm)
                steps.step()
            made.append({k: v.double() for k, v in own.state_dict().items()})
        n = torch.tensor(sizes, dtype=torch.float64)
        state = {
            k: torch.einsum("k,k...->...", n / n.sum(), torch.stack([m[k] for m in made]))
            for k in state
        }
    return state


def ours(
    module: nn.Module,
    engine: str,
    optimiser: str,
    chunk: int | None = None,
    clip: Clip | None = None,
    schedule: Schedule | None = None,
    budget: LocalBudget = BUDGET,
) -> Simulation:
    made = simulate(
        federation=federation_of(shape=SHAPE),
        module=module,
        head="",
        engine=engine,
        optimiser=OPTIMISERS[optimiser][0],
        budget=budget,
        chunk=chunk,
        clip=clip,
        schedule=schedule,
    )
    for r in range(ROUNDS):
        made.round(r)
    return made


def assert_equal(
    made: Simulation,
    module: nn.Module,
    optimiser: str,
    clip: Clip | None = None,
    schedule: Schedule | None = None,
    budget: LocalBudget = BUDGET,
) -> None:
    expected = plain_loop(module, optimiser, clip or Clip(), schedule or Schedule(), budget)
    found = made.task.layout.unflatten(made.server.w)  # type: ignore[attr-defined]
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-7, rtol=1e-7)


def network(name: str) -> nn.Module:
    with drawing_weights(0):
        return NETWORKS[name]()


NOT_MAPPED = {"lstm", "cumulative-batch-norm"}


@pytest.mark.mostly_slow("batch-norm-and-dropout-stacked]")
@pytest.mark.parametrize("engine", ["stacked", "stacked-in-chunks", "sequential"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains_as_in_a_plain_loop(name: str, engine: str) -> None:
    if name in NOT_MAPPED and engine != "sequential":
        pytest.skip("vmap does not map it: refused for the stacked engine")
    module = network(name)
    chunk = 2 if engine == "stacked-in-chunks" else None
    made = ours(module, engine.removesuffix("-in-chunks"), "sgd", chunk)
    assert_equal(made, module, "sgd")


@pytest.mark.mostly_slow("adamw-batch-norm-and-dropout-stacked")
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("name", ["plain", "batch-norm-and-dropout"])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_optimiser_is_that_of_torch(optimiser: str, name: str, engine: str) -> None:
    module = network(name)
    assert_equal(ours(module, engine, optimiser), module, optimiser)


@pytest.mark.mostly_slow("clip2")
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("clip", [Clip(norm=0.5), Clip(value=0.05), Clip(norm=0.3, value=0.1)])
def test_gradients_are_clipped_as_by_torch(clip: Clip, engine: str) -> None:
    module = network("batch-norm")
    made = ours(module, engine, "sgd", clip=clip)
    assert_equal(made, module, "sgd", clip)


@pytest.mark.mostly_slow("Cosine")
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize(
    "schedule",
    [Step(every=1, gamma=0.5), MultiStep(at=(1, 2)), Exponential(gamma=0.7), Cosine(2, rounds=2)],
    ids=lambda schedule: type(schedule).__name__,
)
def test_the_learning_rate_follows_a_schedule(schedule: Schedule, engine: str) -> None:
    module = network("plain")
    made = ours(module, engine, "sgd", schedule=schedule)
    assert_equal(made, module, "sgd", schedule=schedule)
    assert not torch.allclose(made.server.w, ours(module, engine, "sgd").server.w)  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["batch-norm", "dropout", "plain"])
def test_steps_in_place_of_epochs_are_the_same_too(name: str) -> None:
    module, budget = network(name), LocalBudget(4, steps=5)
    for engine in ("stacked", "sequential"):
        assert_equal(ours(module, engine, "adam", budget=budget), module, "adam", budget=budget)


def test_schedules_have_the_rates_of_torch() -> None:
    pairs = (
        (Step(every=3, gamma=0.5), torch.optim.lr_scheduler.StepLR, {"step_size": 3, "gamma": 0.5}),
        (MultiStep(at=(2, 5)), torch.optim.lr_scheduler.MultiStepLR, {"milestones": [2, 5]}),
        (Exponential(gamma=0.9), torch.optim.lr_scheduler.ExponentialLR, {"gamma": 0.9}),
        (Cosine(rounds=8), torch.optim.lr_scheduler.CosineAnnealingLR, {"T_max": 8}),
    )
    for schedule, kind, options in pairs:
        sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        theirs: Any = kind(sgd, **options)
        for r in range(8):
            assert schedule.factor(r) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)
            sgd.step()
            theirs.step()
    assert [Schedule(warmup=3).factor(r) for r in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
