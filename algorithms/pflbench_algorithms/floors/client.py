"""Client halves that predict without a network: they train nothing and send nothing."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench.method import LocalData, Message, State
from pflbench_algorithms.untrained import UntrainedClient

MARGIN = 1e-4
"""How much more likely the class drawn is than the others, in nats."""


class _Floor(UntrainedClient):
    """A client whose row is the initial model, which it never uses."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"

    def initial_state(self) -> State:
        """Return a state for engines, which expect one."""
        return {"counts": self.task.initial.new_zeros(self.task.classes)}

    def personal(self, state: State, served: Message) -> Tensor:
        """Return the initial model."""
        return self.task.initial


class MajorityClient(_Floor):
    """Predicts class c with probability (n_c + 1) / (n + C), for every sample."""

    def prepare(self, state: State, served: Message, data: LocalData) -> State:
        """Count the classes; a label of -1 is none."""
        _, y, mask = data.train
        known = mask * (y >= 0)
        ones = F.one_hot(y.clamp(min=0), self.task.classes) * known.unsqueeze(-1)
        return {"counts": ones.sum(dim=0)}

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        """Return log((n_c + 1) / (n + C))."""
        shares = state["counts"] + 1
        return (shares / shares.sum()).log().expand(len(x), -1)


class RandomClient(_Floor):
    """Predicts all classes alike, but for a margin at one that a sample's bits draw."""

    def predict(self, state: State, served: Message, x: Tensor) -> Tensor:
        """Return log(1 / C), the class drawn a little more likely."""
        drawn = F.one_hot(_hashed(x) % self.task.classes, self.task.classes)
        return torch.log_softmax(MARGIN * drawn.to(self.task.initial), dim=-1)


def _hashed(x: Tensor) -> Tensor:
    """Return a number ≥ 0 of every sample [n], as random as its bits.

    Whole numbers, whose sum is the same in any order: no engine, chunk or device changes it.
    """
    rows = x.flatten(start_dim=1)
    if rows.is_floating_point():
        rows = rows.to(torch.float32).view(torch.int32)
    place = torch.arange(rows.shape[1], device=x.device)
    return _mixed((_mixed(rows.to(torch.int64) + _mixed(place + 1))).sum(dim=1)) & 0x7FFFFFFF


def _mixed(number: Tensor) -> Tensor:
    """Return whole numbers whose low 31 bits have little to do with the given ones.

    The mixing of Wang's and Steele's hash functions, cut to shifts of non-negative numbers.
    """
    h = number & 0x7FFFFFFF
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0x7FFFFFFF
    h = ((h ^ (h >> 15)) * 0x45D9F3B) & 0x7FFFFFFF
    return h ^ (h >> 16)
