"""FedOpt: the server takes the mean change for a gradient; FedAdam, FedYogi, FedAdagrad, FedAvgM.

Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar, McMahan: Adaptive Federated Optimization,
ICLR 2021, arXiv 2003.00295, Algorithm 2; for FedAvgM: Hsu, Qi, Brown: Measuring the Effects of
Non-Identical Data Distribution for Federated Visual Classification, 2019, arXiv 1909.06335.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.parameters import param
from pflbench.schema.specs import AlgorithmSpec
from pflbench_algorithms.weighting import WEIGHTING

_NOTE = "pflbench_algorithms.fedopt:note.md"
_SERVER = "pflbench_algorithms.fedopt.server"

SGD: Final = "sgd"
"""The optimizer that has momentum from outside."""


@dataclass(frozen=True)
class Adaptive:
    """Parameters of FedAdam and FedYogi."""

    server_lr: float = param(
        0.01,
        "η: the server's learning rate",
        gt=0,
        tune=(1e-3, 1.0),
        log=True,
        source="chosen here",
    )
    beta1: float = param(0.9, "β₁: decay of the mean change", ge=0, lt=1, source="paper, section 5")
    beta2: float = param(
        0.99, "β₂: decay of the mean square", ge=0, lt=1, source="paper, section 5"
    )
    tau: float = param(
        1e-3,
        "τ: what is added to the root of the mean square",
        gt=0,
        tune=(1e-5, 1e-1),
        log=True,
        source="paper, section 5",
    )
    weighting: Literal["samples", "uniform"] = param("samples", WEIGHTING, source="FedAvg")


@dataclass(frozen=True)
class Adagrad:
    """Parameters of FedAdagrad."""

    server_lr: float = param(
        0.1, "η: the server's learning rate", gt=0, tune=(1e-3, 1.0), log=True, source="chosen here"
    )
    tau: float = param(
        1e-3,
        "τ: what is added to the root of the sum of squares",
        gt=0,
        tune=(1e-5, 1e-1),
        log=True,
        source="paper, section 5",
    )
    weighting: Literal["samples", "uniform"] = param("samples", WEIGHTING, source="FedAvg")


@dataclass(frozen=True)
class Momentum:
    """Parameters of FedAvgM."""

    server_lr: float = param(
        1.0, "η: the server's learning rate", gt=0, tune=(0.1, 2.0), log=True, source="Hsu et al."
    )
    beta: float = param(
        0.9, "β: the server's momentum", ge=0, lt=1, tune=(0.0, 0.99), source="Hsu et al."
    )
    weighting: Literal["samples", "uniform"] = param("samples", WEIGHTING, source="Hsu et al.")


@dataclass(frozen=True)
class FedOpt:
    """Parameters of FedOpt with any optimizer.

    Raises
    ------
    ValueError
        Momentum is given for another optimizer than SGD, or that the state is kept.
    """

    optimizer: str = param(
        "sgd",
        "optimizer of the server, as --optimizer names that of the clients",
        shelf="optimizers",
        source="FedAvg",
    )
    server_lr: float | None = param(
        None,
        "η: the server's learning rate; none: the optimizer's usual one, 1 for SGD",
        gt=0,
        tune=(1e-3, 1.0),
        log=True,
        source="FedAvg",
    )
    server_momentum: float = param(0.0, "momentum of the server's SGD", ge=0, lt=1, source="FedAvg")
    weighting: Literal["samples", "uniform"] = param("samples", WEIGHTING, source="FedAvg")

    def __post_init__(self) -> None:
        name = self.optimizer.partition("(")[0].strip()
        if self.server_momentum and name != SGD:
            raise ValueError(
                f"server_momentum = {self.server_momentum:g} is SGD's, and the optimizer is "
                f"{name!r}: expected no server_momentum, or one of its own parameters "
                f"(pflbench show {name})."
            )
        settings = getattr(self.optimizer, "parameters", None)  # once the plugin is known
        if getattr(settings, "state", "") == "kept":
            raise ValueError(
                f"optimizer = {self.optimizer}: the state of the server's optimizer is always "
                "kept. Expected no state=kept."
            )


def _record(name: str, server: str, parameters: type, optimiser: str, paper: str) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=f"FedAvg whose server goes along the mean change by {optimiser}",
        client="pflbench.method:Client",
        server=f"{_SERVER}:{server}",
        parameters=parameters,
        paper=paper,
        note=_NOTE,
    )


@hookimpl
def pflbench_algorithms() -> Sequence[AlgorithmSpec]:
    """Return the records."""
    reddi = "Reddi et al., ICLR 2021, arXiv 2003.00295"
    return [
        _record("fedopt", "NamedServer", FedOpt, "any optimizer", reddi),
        _record("fedadam", "FedAdamServer", Adaptive, "Adam", reddi),
        _record("fedyogi", "FedYogiServer", Adaptive, "Yogi", reddi),
        _record("fedadagrad", "FedAdagradServer", Adagrad, "Adagrad", reddi),
        _record(
            "fedavgm", "FedAvgMServer", Momentum, "momentum", "Hsu, Qi, Brown, arXiv 1909.06335"
        ),
    ]
