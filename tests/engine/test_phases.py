"""Phases of local training: steps in multiples, and what `finish` is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from small_federations import UNEVEN, simulate
from torch import Tensor

from pflbench.federation import Attendance
from pflbench.method import Client, LocalBudget, LocalData, Message, Phase, State

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


class CountsSteps(Client[Any]):
    """Uploads how many steps it was told that it did."""

    def phases(self) -> Sequence[Phase]:
        return (Phase("first"), Phase("second", multiple=3))

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return state, {"model": torch.zeros_like(carry["w"]) + carry["steps"]}


class TwoModels(Client[Any]):
    """Trains the received model, and then one of its own."""

    personal_model: ClassVar[Literal["kept", "served"]] = "kept"

    def initial_state(self) -> State:
        return {"v": self.task.initial}

    def phases(self) -> Sequence[Phase]:
        return (Phase("shared"), Phase("own", model="v"))

    def start(self, state: State, received: Message, data: LocalData) -> tuple[State, State]:
        return {"w": received["model"], "v": state["v"]}, {}

    def finish(
        self, state: State, carry: State, received: Message, context: State
    ) -> tuple[State, Message]:
        return {"v": carry["v"]}, {"model": carry["w"]}

    def personal(self, state: State, served: Message) -> Tensor:
        return state["v"]


@ENGINES
def test_finish_is_told_the_steps_of_all_phases_in_multiples(engine: str) -> None:
    sim = simulate(f"{__name__}:CountsSteps", engine=engine, record=True)
    work = np.array([1.0, 0.5, 1.0, 0.3, 1.0])
    everyone = np.arange(len(UNEVEN))
    report = sim.round(0, Attendance(everyone, np.ones(len(everyone), dtype=bool), work))
    expected = 0
    for n, share in zip(UNEVEN, work, strict=True):
        steps = max(1, round(share * 2 * -(-n // 4)))
        expected += n * (steps + -(-steps // 3) * 3)
    assert sim.server.state()["w"].mean() * sum(UNEVEN) == pytest.approx(expected)
    assert report.steps > 0


def test_phases_of_one_stream_see_the_same_batches() -> None:
    sim = simulate(f"{__name__}:TwoModels", budget=LocalBudget(4, epochs=1))
    sim.round(0)
    alone = simulate("pflbench.method:Client", budget=LocalBudget(4, epochs=1))
    alone.round(0)
    # Both began at the same model, so the shared one is FedAvg's, and v what was uploaded.
    torch.testing.assert_close(sim.server.state()["w"], alone.server.state()["w"])
    n = torch.tensor(UNEVEN, dtype=torch.float64)
    torch.testing.assert_close((n / n.sum()) @ sim.states["v"], alone.server.state()["w"])
