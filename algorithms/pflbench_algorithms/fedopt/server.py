"""Server halves of the FedOpt family (Reddi et al. 2021, Algorithm 2; FedAvgM: Hsu et al. 2019).

Δ is the mean of the cohort's changes x_k - x, and -Δ the gradient of the server's optimiser, which
is one of those that clients have. Running statistics are averaged, not optimised.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from pflbench.engine.optimisers import Adagrad as AdagradSteps
from pflbench.isolation import Guard
from pflbench.method import Optimiser, Rows, Setup, Sgd, State
from pflbench.schema.error_text import named
from pflbench.schema.settings import plugin_of
from pflbench.schema.specs import resolve
from pflbench_algorithms.fedopt import Adagrad, Adaptive, FedOpt, Momentum
from pflbench_algorithms.fedopt.optimisers import PlainAdam, PlainYogi
from pflbench_algorithms.weighted_server import WeightedServer
from pflbench_algorithms.weighting import Weighted

P = TypeVar("P", bound=Weighted)

_STATE = "optimizer/"
"""Before the names of the optimiser's tensors in the server's state."""


class FedOptServer(WeightedServer[P], ABC):
    """x ← the optimiser's step from x along the gradient -Δ.

    Attributes
    ----------
    optimiser
        The server's; its state lives on from round to round.
    moments
        The optimiser's state, of the trained parameters.
    """

    def __init__(self, parameters: P, setup: Setup) -> None:
        super().__init__(parameters, setup)
        self.trained = setup.layout.trained
        self.optimiser = self.made()
        self.moments: State = self.optimiser.init(self.w[: self.trained])

    @abstractmethod
    def made(self) -> Optimiser:
        """Return the server's optimiser."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        """Step by the optimiser, and average what is not trained."""
        x = self.w[: self.trained]
        super().aggregate(round, cohort, uploads)
        g = x - self.w[: self.trained]
        x, self.moments = self.optimiser.step(x, g, self.moments, self.optimiser.lr)
        self.w = torch.cat([x, self.w[self.trained :]])

    def state(self) -> dict[str, Tensor]:
        """Return the attributes that are tensors, and the optimiser's state."""
        return {**super().state(), **{_STATE + k: v for k, v in self.moments.items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Load the result of `state`."""
        super().restore({k: v for k, v in state.items() if not k.startswith(_STATE)})
        self.moments = {k.removeprefix(_STATE): v for k, v in state.items() if k.startswith(_STATE)}


class FedAdamServer(FedOptServer[Adaptive]):
    """m ← β₁m + (1 - β₁)Δ, v ← β₂v + (1 - β₂)Δ², x ← x + η m / (√v + τ)."""

    def made(self) -> Optimiser:
        """Return Adam as in Algorithm 2."""
        p = self.parameters
        return PlainAdam(p.server_lr, beta1=p.beta1, beta2=p.beta2, tau=p.tau)


class FedYogiServer(FedOptServer[Adaptive]):
    """FedAdam with v ← v - (1 - β₂) Δ² sign(v - Δ²)."""

    def made(self) -> Optimiser:
        """Return Yogi as in Algorithm 2."""
        p = self.parameters
        return PlainYogi(p.server_lr, beta1=p.beta1, beta2=p.beta2, tau=p.tau)


class FedAdagradServer(FedOptServer[Adagrad]):
    """v ← v + Δ², x ← x + ηΔ / (√v + τ): β₁ = 0, as in the paper's experiments."""

    def made(self) -> Optimiser:
        """Return Adagrad with v = τ² at first."""
        p = self.parameters
        return AdagradSteps(p.server_lr, initial=p.tau**2, eps=p.tau)


class FedAvgMServer(FedOptServer[Momentum]):
    """m ← βm + Δ, x ← x + ηm."""

    def made(self) -> Optimiser:
        """Return SGD with momentum."""
        return Sgd(self.parameters.server_lr, self.parameters.beta)


class NamedServer(FedOptServer[FedOpt]):
    """The optimiser is the one that the parameters name."""

    def made(self) -> Optimiser:
        """Return the optimiser of the plugin that the parameters name.

        Raises
        ------
        InputError
            Its code cannot be imported, or its parameters do not fit together.
        """
        p = self.parameters
        plugin = plugin_of(p.optimizer, "optimizers")
        spec = plugin.spec
        lr = (1.0 if spec.lr is None else spec.lr) if p.server_lr is None else p.server_lr
        make = resolve(spec.make, owner=f"optimizer {spec.name!r}")
        with Guard(partial(named, spec))("its construction"):
            made: Optimiser = make(plugin.parameters, lr, 0.0, p.server_momentum)
        return made
