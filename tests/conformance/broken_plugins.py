"""Partitioners, models, metrics and data sets that break one rule each."""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pflbench.errors import InputError
from pflbench.federation import (
    Attendance,
    Census,
    ClientArrays,
    DataRequest,
    Member,
    Participation,
    Partitioner,
    PartitionRequest,
    Population,
    Split,
)
from pflbench.method import Message, Rows, Samples, Setup, Similarity, Task

Parts = Mapping[Split, list[np.ndarray]]


class Even(Partitioner):
    """Breaks nothing."""

    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        return {
            split: np.array_split(rng.permutation(len(y)), request.clients)
            for split, y in request.labels.items()
        }


class Generous(Even):
    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        return {s: [np.arange(len(y))] * request.clients for s, y in request.labels.items()}


class Drifting(Even):
    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        return super().assign(request, np.random.default_rng(random.randrange(2**32)))


class Sleepy(Even):
    def assign(self, request: PartitionRequest, rng: np.random.Generator) -> Parts:
        time.sleep(0.05)
        return super().assign(request, rng)


class Blinding(Even):
    def transform(self, client: int, x: Tensor) -> Tensor:
        return x / 0.0


class Centring(Even):
    def transform(self, client: int, x: Tensor) -> Tensor:
        return x - x.mean()


def linear(inputs: int, classes: int, *between: nn.Module) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    layers["first"] = nn.Linear(inputs, 6)
    for i, module in enumerate(between):
        layers[f"between{i}"] = module
    layers["head"] = nn.Linear(6, classes)
    return nn.Sequential(layers)


def sound(_: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return linear(int(np.prod(shape)), classes, nn.ReLU())


def ten_classes(_: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return linear(int(np.prod(shape)), 10)


def of_the_batch(_: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    norm = nn.BatchNorm1d(6, track_running_stats=False)
    return linear(int(np.prod(shape)), classes, nn.ReLU(), norm)


def picky(_: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    raise InputError("Nothing suits this model.")


class Centre(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


def of_other_samples(_: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return linear(int(np.prod(shape)), classes, nn.ReLU(), Centre())


def drawn_elsewhere(_: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    made = linear(int(np.prod(shape)), classes, nn.ReLU())
    nn.init.constant_(made[1].bias, float(np.random.default_rng().normal()))  # type: ignore[index]
    return made


class Double(torch.autograd.Function):
    """Doubles, but mapped over rows it triples."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * 2

    @staticmethod
    def vmap(info: Any, dims: tuple[int], x: Tensor) -> tuple[Tensor, int]:
        return x * 3, dims[0]


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = Double.apply(x)
        return out


def otherwise_mapped(_: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return linear(int(np.prod(shape)), classes, nn.ReLU(), Doubling())


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if bool(x.detach().isfinite().all()) else x.nan_to_num()


def branching(_: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    return linear(int(np.prod(shape)), classes, Branching())


class Halved(Population):
    """Changes every other client's labels as it should; the broken ones say otherwise."""

    def groups(self, clients: int, rng: np.random.Generator) -> np.ndarray:
        return np.arange(clients) % 2

    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, (y + 1) % member.classes


class Idle(Halved):
    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, y


class Nobody(Halved):
    def groups(self, clients: int, rng: np.random.Generator) -> np.ndarray:
        return np.zeros(clients, dtype=np.int64)


class Shrinking(Halved):
    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x[1:], y[1:]


class Beyond(Halved):
    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, y + member.classes


class Moody(Halved):
    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x, y[torch.randperm(len(y))]


class InPlace(Halved):
    def change(self, member: Member, split: Split, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x.neg_(), y


class OnlyMany(Halved):
    def groups(self, clients: int, rng: np.random.Generator) -> np.ndarray:
        return np.arange(max(clients, 4)) % 2


def error_rate(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    wrong = (logits.argmax(-1) != y).to(mask.dtype)
    return (wrong * mask).sum() / mask.sum()


def unmasked(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return logits.square().mean()


def two_numbers(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return torch.stack([mask.sum(), mask.sum()])


def arrays_of(rng: np.random.Generator) -> ClientArrays:
    def client() -> dict[str, np.ndarray]:
        own = {}
        for split in ("train", "val", "test"):
            own[f"{split}_x"] = rng.normal(size=(5, 4)).astype(np.float32)
            own[f"{split}_y"] = np.arange(5) % 3
        return own

    return ClientArrays([client(), client()], 3, "made-up clients")


def load_sound(request: DataRequest) -> ClientArrays:
    return arrays_of(np.random.default_rng(0))


def load_random(request: DataRequest) -> ClientArrays:
    return arrays_of(np.random.default_rng())


def load_list(request: DataRequest) -> Any:
    return [1, 2, 3]


def load_damaged(request: DataRequest) -> ClientArrays:
    whole = load_sound(request)
    whole.clients[1]["train_x"][0] = np.nan  # type: ignore[index]
    return whole


def load_absent(request: DataRequest) -> ClientArrays:
    raise InputError("The files are not here.")


# Participations


class Half(Participation):
    """Breaks nothing: half of the clients."""

    @property
    def fraction(self) -> float:
        return 0.5


class Twice(Half):
    """Invites somebody twice."""

    def draw(self, round: int, there: np.ndarray) -> np.ndarray:
        return np.repeat(there[:1], 2)


class Resting(Half):
    """Asks for no work at all of some."""

    def work(self, round: int, invited: np.ndarray) -> np.ndarray:
        return np.where(invited > 0, 1.0, 0.0)


class GoesOnDrawing(Half):
    """Draws from one generator, round after round."""

    def __init__(self, parameters: Any, census: Census) -> None:
        super().__init__(parameters, census)
        self.rng = np.random.default_rng(census.seed)

    def draw(self, round: int, there: np.ndarray) -> np.ndarray:
        return self.rng.choice(there, max(1, len(there) // 2), replace=False)


class InvitesTheGone(Participation):
    """Lets clients leave, and invites everybody all the same."""

    def departures(self) -> np.ndarray:
        return np.arange(3, 3 + self.census.clients)

    def attend(self, round: int) -> Attendance:
        return Attendance.of(np.arange(self.census.clients))


class JoinsTwice(Participation):
    """Lets clients enrol that were there from the beginning."""

    def attend(self, round: int) -> Attendance:
        everyone = np.arange(self.census.clients)
        uploads, work = np.ones(len(everyone), dtype=bool), np.ones(len(everyone))
        return Attendance(everyone, uploads, work, joined=everyone[:1])


class More(Half):
    """Invites more than it says."""

    def draw(self, round: int, there: np.ndarray) -> np.ndarray:
        return there


class Slow(Half):
    """Takes its time to say who is there."""

    def draw(self, round: int, there: np.ndarray) -> np.ndarray:
        time.sleep(0.001)
        return super().draw(round, there)


class Means(Similarity):
    """Compares mean inputs."""

    def describe(self, data: Samples, task: Task) -> Message:
        return {"mean": data.x.flatten(start_dim=1).mean(dim=0)}

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        return some["mean"] @ others["mean"].T


class Silent(Means):
    """Tells nothing."""

    def describe(self, data: Samples, task: Task) -> Message:
        return {}


class Picky(Means):
    """Branches on a value."""

    def describe(self, data: Samples, task: Task) -> Message:
        mean = super().describe(data, task)["mean"]
        return {"mean": mean if mean.sum() > 0 else -mean}


class Relative(Means):
    """Compares with those that are asked for together."""

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        found = super().compare(some, others)
        return found - found.mean(dim=0)


class Narrow(Means):
    """Compares every client with one."""

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        return super().compare(some, others)[:, :1]


class Dicey(Means):
    """Adds noise of a shared generator."""

    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        return {"mean": told["mean"] + torch.randn_like(told["mean"])}
