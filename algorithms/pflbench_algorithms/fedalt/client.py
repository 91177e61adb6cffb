"""The client halves: LocalAlt and LocalSim of (u, v_k) (Pillutla et al. 2022, section 2).

u is shared and v_k the client's own; γ_u and γ_v are their learning rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from pflbench.errors import InputError, nearest
from pflbench.method import Client, Columns, Layout, LocalBudget, Phase, State
from pflbench_algorithms.fedalt import FedAlt, FedSim

P = TypeVar("P", bound=FedSim)


class PartialClient(Client[P]):
    """Keeps the personal layers v_k."""

    def private(self) -> Columns:
        """Return the columns of v."""
        return personal_columns(self.task.layout, self.parameters.personal)


class FedAltClient(PartialClient[FedAlt]):
    """v_k ← τ_v steps of γ_v ∇_v F_k(u, v_k), then u_k ← τ_u steps of γ_u ∇_u F_k(u_k, v_k)."""

    def phases(self) -> Sequence[Phase]:
        """Return the phase of v, then that of u; the other part is frozen."""
        task, epochs, v = self.task, self.parameters.personal_epochs, self.private()
        τ_v = None if epochs is None else LocalBudget(task.budget.batch_size, epochs=epochs)
        γ_v = self.parameters.rate * task.optimiser.lr
        return (
            Phase("personal", columns=v, budget=τ_v, batches="personal", lr=γ_v),
            Phase("shared", columns=v.rest, batches="shared"),
        )


class FedSimClient(PartialClient[FedSim]):
    """(u_k, v_k) ← steps of (γ_u ∇_u F_k, γ_v ∇_v F_k), both at (u_k, v_k)."""

    def after_step(self, w: Tensor, before: Tensor, context: State) -> Tensor:
        """Return w, with v moved γ_v / γ_u times as far."""
        if self.parameters.rate == 1.0:
            return w
        v = self._private.mask.to(w.device)
        return torch.lerp(before, w, torch.where(v, self.parameters.rate, 1.0).to(w.dtype))


def personal_columns(layout: Layout, personal: str) -> Columns:
    """Return the columns of the layers that `personal` names.

    Raises
    ------
    InputError
        The network has no such layer, or no other.
    """
    names = personal.split("+")
    if personal in ("output", "norm"):
        v = layout.block("head" if personal == "output" else "norm")
    elif personal == "input":
        v = layout.last_layers(len(layout.layers) - 1).rest
    else:
        for name in names:
            if not layout.columns_of(partial(_is_of, [name])).count:
                known = ("output", "input", "norm", *layout.layers)
                raise InputError(
                    f"No layer is called {name!r}, of 'personal': expected output, input, norm, "
                    f"or some of {', '.join(layout.layers)}, joined by +.{nearest(name, known)}"
                )
        v = layout.columns_of(partial(_is_of, names))
    if v.all or not v.count:
        left = "no other layer" if v.all else "no layer to the client"
        raise InputError(
            f"personal={personal} leaves {left}: the model has {', '.join(layout.layers)}."
        )
    return v


def _is_of(layers: Sequence[str], tensor: str) -> bool:
    """Return whether a tensor belongs to one of the layers, or to a layer below it."""
    return any(f".{layer}." in f".{tensor}." for layer in layers)
