"""The built-in local optimizers and learning-rate schedules, brought in as any plugin's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import OptimizerSpec, ScheduleSpec

_OPTIMIZERS = "pflbench.engine.optimisers"
_SCHEDULES = "pflbench.engine.schedules"

_STATE = "fresh in every round, or kept from round to round"


@dataclass(frozen=True)
class SgdSettings:
    """Parameters of SGD besides the scenario's rate, momentum and weight decay."""

    nesterov: bool = param(False, "Nesterov's momentum")
    dampening: float = param(0.0, "dampening of the momentum", ge=0, lt=1)
    state: Literal["fresh", "kept"] = param("fresh", _STATE, since="0.1")


@dataclass(frozen=True)
class AdamSettings:
    """Parameters of Adam and AdamW."""

    beta1: float = param(0.9, "decay of the first moment", ge=0, lt=1)
    beta2: float = param(0.999, "decay of the second moment", ge=0, lt=1)
    eps: float = param(1e-8, "added to the root of the second moment", gt=0)
    state: Literal["fresh", "kept"] = param("fresh", _STATE, since="0.1")


@dataclass(frozen=True)
class YogiSettings:
    """Parameters of Yogi."""

    beta1: float = param(0.9, "decay of the first moment", ge=0, lt=1)
    beta2: float = param(0.999, "decay of the second moment", ge=0, lt=1)
    eps: float = param(1e-3, "added to the root of the second moment", gt=0)
    initial: float = param(1e-6, "second moment before the first step", ge=0)
    state: Literal["fresh", "kept"] = param("fresh", _STATE, since="0.1")


@dataclass(frozen=True)
class AdagradSettings:
    """Parameters of Adagrad."""

    lr_decay: float = param(0.0, "decay of the learning rate with the steps of a round", ge=0)
    initial: float = param(0.0, "sum of squares before the first step", ge=0)
    eps: float = param(1e-10, "added to the root of the sum", gt=0)
    state: Literal["fresh", "kept"] = param("fresh", _STATE, since="0.1")


@dataclass(frozen=True)
class RmsPropSettings:
    """Parameters of RMSprop."""

    alpha: float = param(0.99, "decay of the mean square", ge=0, lt=1)
    eps: float = param(1e-8, "added to the root of the mean square", gt=0)
    momentum: float = param(0.0, "momentum of the scaled gradients", ge=0, lt=1)
    centered: bool = param(False, "centre the mean square by the mean")
    state: Literal["fresh", "kept"] = param("fresh", _STATE, since="0.1")


@hookimpl
def pflbench_optimizers() -> Sequence[OptimizerSpec]:
    """Return the built-in optimizers."""
    return [
        OptimizerSpec(
            "sgd",
            "SGD with momentum and weight decay (L2)",
            make=f"{_OPTIMIZERS}:sgd",
            parameters=SgdSettings,
            version="1",
        ),
        OptimizerSpec(
            "adam",
            "Adam with L2 weight decay, as torch.optim.Adam",
            make=f"{_OPTIMIZERS}:adam",
            parameters=AdamSettings,
            version="1",
            lr=1e-3,
        ),
        OptimizerSpec(
            "adamw",
            "Adam with decoupled weight decay, as torch.optim.AdamW",
            make=f"{_OPTIMIZERS}:adamw",
            parameters=AdamSettings,
            version="1",
            lr=1e-3,
        ),
        OptimizerSpec(
            "adagrad",
            "Adagrad, as torch.optim.Adagrad",
            make=f"{_OPTIMIZERS}:adagrad",
            parameters=AdagradSettings,
            version="1",
            lr=1e-2,
        ),
        OptimizerSpec(
            "rmsprop",
            "RMSprop, as torch.optim.RMSprop",
            make=f"{_OPTIMIZERS}:rmsprop",
            parameters=RmsPropSettings,
            version="1",
            lr=1e-2,
        ),
        OptimizerSpec(
            "yogi",
            "Yogi: Adam whose second moment changes additively (Zaheer et al. 2018)",
            make=f"{_OPTIMIZERS}:yogi",
            parameters=YogiSettings,
            version="1",
            lr=1e-2,
        ),
    ]


@dataclass(frozen=True)
class ConstantSettings:
    """Parameters of every schedule."""

    warmup: int = param(0, "first rounds, in which the rate rises evenly", ge=0)


@dataclass(frozen=True)
class StepSettings(ConstantSettings):
    """Parameters of the schedule step."""

    every: int = param(30, "rounds after which the rate falls", ge=1)
    gamma: float = param(0.1, "factor of each fall", gt=0)


@dataclass(frozen=True)
class MultiStepSettings(ConstantSettings):
    """Parameters of the schedule multistep."""

    at: str = param("50+75", "rounds after which the rate falls, joined by +")
    gamma: float = param(0.1, "factor of each fall", gt=0)


@dataclass(frozen=True)
class ExponentialSettings(ConstantSettings):
    """Parameters of the schedule exponential."""

    gamma: float = param(0.99, "factor after every round", gt=0)


@dataclass(frozen=True)
class CosineSettings(ConstantSettings):
    """Parameters of the schedule cosine."""

    rounds: int = param(100, "rounds in which the rate falls", ge=1)
    floor: float = param(0.0, "rate at its end, over that at its beginning", ge=0, le=1)


@hookimpl
def pflbench_schedules() -> Sequence[ScheduleSpec]:
    """Return the built-in schedules."""
    return [
        ScheduleSpec(
            "constant",
            "the same rate in all rounds, after a warm-up",
            make=f"{_SCHEDULES}:constant",
            parameters=ConstantSettings,
            version="1",
        ),
        ScheduleSpec(
            "step",
            "the rate falls after a fixed number of rounds",
            make=f"{_SCHEDULES}:step",
            parameters=StepSettings,
            version="1",
        ),
        ScheduleSpec(
            "multistep",
            "the rate falls after named rounds",
            make=f"{_SCHEDULES}:multistep",
            parameters=MultiStepSettings,
            version="1",
        ),
        ScheduleSpec(
            "exponential",
            "the rate falls by a factor after every round",
            make=f"{_SCHEDULES}:exponential",
            parameters=ExponentialSettings,
            version="1",
        ),
        ScheduleSpec(
            "cosine",
            "the rate falls along half a cosine (Loshchilov and Hutter 2017)",
            make=f"{_SCHEDULES}:cosine",
            parameters=CosineSettings,
            version="1",
        ),
    ]
