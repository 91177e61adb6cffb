"""Plugins that change what all code of the process shares, end it, or give what does not fit."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pflbench.method import AveragingServer, Client, LocalData, Rows, State
from pflbench.models import Mlp
from pflbench.models.networks import build_mlp


class Changing(AveragingServer[Any]):
    """Changes something in `aggregate`, as a test says."""

    how: ClassVar[Any] = None

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        super().aggregate(round, cohort, uploads)
        type(self).how()


class ChangingClient(Client[Any]):
    """Changes something in `finish`: in a thread of its own, if the cohort is shared out."""

    def finish(
        self, state: State, carry: State, received: State, context: State
    ) -> tuple[State, State]:
        torch.set_grad_enabled(False)
        return super().finish(state, carry, received, context)


class Drawing(AveragingServer[Any]):
    """Draws from the generators that all code shares, against the rules."""

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        super().aggregate(round, cohort, uploads)
        noise = torch.randn_like(self.w) + random.random() + float(np.random.rand())
        self.w = self.w + 1e-3 * noise


class Ending(AveragingServer[Any]):
    """Ends the process, as a test says."""

    how: ClassVar[str] = "_exit"

    def aggregate(self, round: int, cohort: Tensor, uploads: Rows) -> None:
        end: Any = getattr(os, self.how)
        end(*(("/bin/true", ["true"]) if self.how == "execv" else (0,)))


class Sending(AveragingServer[Any]):
    """Sends, tells of itself and serves what a test says."""

    sends: ClassVar[Any] = None
    tells: ClassVar[Any] = None
    serves: ClassVar[Any] = None

    def send(self, round: int, cohort: Tensor) -> Any:
        own = {"model": self.w.expand(len(cohort), -1)}
        return own if self.sends is None else type(self).sends(self.w, len(cohort))

    def serve(self, clients: Tensor) -> Any:
        own = {"model": self.w.expand(len(clients), -1)}
        return own if self.serves is None else type(self).serves(self.w, len(clients))

    def telemetry(self, round: int) -> Any:
        return {} if self.tells is None else type(self).tells(round)


class Returning(Client[Any]):
    """Returns from a place what a test says."""

    keeps: ClassVar[dict[str, Tensor]] = {}
    starts: ClassVar[Any] = None
    enrols: ClassVar[Any] = None
    finishes: ClassVar[Any] = None
    models: ClassVar[Any] = None

    def initial_state(self) -> State:
        return self.keeps

    def start(self, state: State, received: State, data: Any) -> Any:
        own: tuple[State, State] = {"w": received["model"]}, {}
        return own if self.starts is None else type(self).starts(received["model"])

    def enrol(self, data: Any) -> Any:
        own = super().enrol(data)
        return own if self.enrols is None else type(self).enrols(own, data)

    def finish(self, state: State, carry: State, received: State, context: State) -> Any:
        own = state, {"model": carry["w"]}
        return own if self.finishes is None else type(self).finishes(state, carry["w"])

    def personal(self, state: State, served: State) -> Any:
        return served["model"] if self.models is None else type(self).models(served["model"])


def build_in_float64(parameters: Any, shape: tuple[int, ...], classes: int) -> nn.Module:
    torch.set_default_dtype(torch.float64)
    return build_mlp(Mlp(), shape, classes)


class Keeping(AveragingServer[Any]):
    """Does something when its state is asked for, or put back, as a test says."""

    how: ClassVar[dict[str, Any]] = {}

    def state(self) -> dict[str, Any]:  # type: ignore[override]
        return {**super().state(), **self._do("state")}

    def parts(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        yield {**super().state(), **self._do("parts")}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._do("restore")
        super().restore(state)

    def _do(self, place: str) -> Any:
        return self.how.get(place, dict)()


class Controlled(AveragingServer[Any]):
    """Sends a second message in rounds, and not to those whom it serves."""

    def send(self, round: int, cohort: Tensor) -> Rows:
        return {**super().send(round, cohort), "control": torch.zeros(len(cohort), 1)}


class ControlledClient(Client[Any]):
    """Reads the second message in `start`."""

    def start(self, state: State, received: State, data: LocalData) -> tuple[State, State]:
        carry, context = super().start(state, received, data)
        return {**carry, "w": carry["w"] + 0 * received["control"]}, context


class CuriousClient(Client[Any]):
    """Reads the second message in `personal`."""

    def personal(self, state: State, served: State) -> Tensor:
        return super().personal(state, served) + 0 * served["control"]


def make_by_changing(*arguments: Any) -> Any:
    """Change what all code shares, instead of making a partitioner, population or participation."""
    torch.set_float32_matmul_precision("medium")


def make_by_failing(*arguments: Any) -> Any:
    """Fail instead."""
    return {}["lost"]
