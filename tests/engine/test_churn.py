"""Rounds in which clients fail, are slow, come late, leave, or in which nobody is there."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from small_federations import UNEVEN, federation_of, simulate
from test_simulation import METHODS, made

from pflbench.engine import Simulation
from pflbench.engine.batches import part_of
from pflbench.federation import Attendance, Census, Participation
from pflbench.method import LocalBudget

EVERY_METHOD = pytest.mark.parametrize("method", METHODS)
ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])
N = len(UNEVEN)


def attendance(
    invited: list[int], failing: tuple[int, ...] = (), work: dict[int, float] | None = None
) -> Attendance:
    return Attendance(
        np.array(invited, dtype=np.int64),
        np.array([i not in failing for i in invited], dtype=bool),
        np.array([(work or {}).get(i, 1.0) for i in invited]),
    )


def lines(simulation: Simulation, r: int, direction: str) -> pd.DataFrame:
    table = simulation.traffic.table()
    return table[(table["round"] == r) & (table["direction"] == direction)]


@EVERY_METHOD
@ENGINES
def test_who_fails_is_sent_to_and_counted_and_does_nothing(method: str, engine: str) -> None:
    simulation = made(method, engine=engine)
    simulation.round(0)
    states = {name: rows.clone() for name, rows in simulation.states.items()}
    report = simulation.round(1, attendance([0, 1, 3, 4], failing=(1, 4)))
    assert report.cohort.tolist() == [0, 1, 3, 4]
    assert report.uploaded.tolist() == [True, False, True, False]
    steps = {0: 2 * 2, 3: 2 * 5}  # two epochs of 5 and of 20 samples, in batches of 4
    assert report.steps == sum(steps.values())
    for name, rows in simulation.states.items():
        assert torch.equal(rows[[1, 2, 4]], states[name][[1, 2, 4]])
        assert not torch.equal(rows[[0, 3]], states[name][[0, 3]])
    down, up = (lines(simulation, 2, direction) for direction in ("down", "up"))
    assert set(down["messages"]) <= {4}
    assert set(up["messages"]) <= {2}
    assert (report.bytes_down, report.bytes_up) == (down["bytes"].sum(), up["bytes"].sum())
    table = simulation.register.table()
    last = table[table["round"] == 2]
    assert last["client"].tolist() == [0, 1, 3, 4]
    assert last["steps"].tolist() == [4, 0, 10, 0]
    assert last["work"].tolist() == [1, 0, 1, 0]


@pytest.mark.mostly_slow("budget1-fedora", "budget0-pfedhn]", "budget1-keeps")
@EVERY_METHOD
@pytest.mark.parametrize("budget", [LocalBudget(4, epochs=2), LocalBudget(4, steps=7)])
def test_partial_work_is_the_same_in_every_engine_and_chunk(
    method: str, budget: LocalBudget
) -> None:
    work = {0: 0.5, 1: 1e-9, 3: 0.34, 4: 0.99}
    rounds = [attendance([0, 1, 2, 3, 4], work=work), attendance([0, 1, 3], (3,), work)]
    found = []
    for options in (
        {"engine": "sequential"},
        {"engine": "stacked"},
        {"engine": "stacked", "chunk": 1},
        {"engine": "stacked", "chunk": 2},
    ):
        simulation = made(method, budget=budget, **options)
        steps = []
        for r, who in enumerate(rounds):
            simulation.round(r, who)
        table = simulation.register.table()
        steps = table["steps"].tolist()
        found.append((steps, simulation.personal(simulation.everyone)))
    full = [4, 6, 2, 10, 4] if budget.epochs else [7] * 5
    wanted = [max(1, round(n * work.get(i, 1.0))) for i, n in enumerate(full)]
    assert found[0][0] == [*wanted, wanted[0], wanted[1], 0]
    for steps, models in found[1:]:
        assert steps == found[0][0]
        torch.testing.assert_close(models, found[0][1], rtol=0, atol=1e-9)


def test_partial_work_is_the_beginning_of_the_whole() -> None:
    """One local step of a client that is slow is the first one of a client that is not."""
    slow = simulate(budget=LocalBudget(4, steps=5))
    brief = simulate(budget=LocalBudget(4, steps=1))
    slow.round(3, attendance([2, 3], work={2: 0.2, 3: 0.2}))
    brief.round(3, attendance([2, 3]))
    assert torch.equal(slow.server.state()["w"], brief.server.state()["w"])


@pytest.mark.parametrize(
    ("steps", "work", "left"),
    [(10, 1.0, 10), (10, 0.3, 3), (10, 0.29, 3), (3, 0.01, 1), (1, 0.5, 1)],
)
def test_the_part_of_the_work(steps: int, work: float, left: int) -> None:
    batches = np.arange(2 * steps).reshape(steps, 2)
    assert (part_of(batches, work) == batches[:left]).all()


@EVERY_METHOD
@ENGINES
def test_a_round_with_nobody_passes(method: str, engine: str) -> None:
    simulation = made(method, engine=engine)
    simulation.round(0)
    before = {name: value.clone() for name, value in simulation.state().items()}
    for r, who in ((1, attendance([])), (2, attendance([0, 3], failing=(0, 3)))):
        report = simulation.round(r, who)
        assert math.isnan(report.train_loss)
        assert (report.steps, report.bytes_up, int(report.uploaded.sum())) == (0, 0, 0)
        assert report.bytes_down == lines(simulation, r + 1, "down")["bytes"].sum()
        assert lines(simulation, r + 1, "down").empty or r == 2
        after = simulation.state()
        # A spectral norm is estimated whenever rows are made, and better each time.
        same = [n for n in before if r == 1 or not n.endswith(("._u", "._v"))]
        assert all(torch.equal(after[name], before[name]) for name in same)
    assert simulation.round(3).steps > 0


class Schedule(Participation):
    """Clients 3 and 4 come before the third round; 0 goes in the second, 3 in the fourth."""

    forgets = True

    def arrivals(self) -> np.ndarray:
        return np.array([0, 0, 0, 2, 2])

    def departures(self) -> np.ndarray:
        return np.array([1, 99, 99, 3, 99])


@pytest.mark.mostly_slow("fedora", "keeps-state")
@EVERY_METHOD
@ENGINES
def test_who_comes_late_enrols_late(method: str, engine: str) -> None:
    federation = federation_of()
    simulation = made(
        method,
        engine=engine,
        federation=federation,
        participation=Schedule(None, Census(federation, 0)),
    )
    at_once = made(method, engine=engine)
    whole = lines(at_once, -1, "up")
    cohorts, bytes_up = [], []
    for r in range(4):
        report = simulation.round(r)
        cohorts.append(report.cohort.tolist())
        bytes_up.append(report.bytes_up)
    assert cohorts == [[0, 1, 2], [1, 2], [1, 2, 3, 4], [1, 2, 4]]
    first, later = lines(simulation, -1, "up"), lines(simulation, 3, "up")
    enrolled = later[later["kind"].isin(whole["kind"])]
    assert first["messages"].tolist() == [3] * len(whole)
    assert enrolled["messages"].tolist() == [2] * len(whole)
    assert first["bytes"].sum() + enrolled["bytes"].sum() == whole["bytes"].sum()
    assert bytes_up == [lines(simulation, r, "up")["bytes"].sum() for r in range(1, 5)]
    table = simulation.register.table()
    events = table[table["event"] != ""][["round", "client", "event"]]
    assert events.to_numpy().tolist() == [
        [2, 0, "forgotten"],
        [3, 3, "joined"],
        [3, 4, "joined"],
        [4, 3, "forgotten"],
    ]
    assert not table.loc[table["event"] != "", ["invited", "uploaded"]].any().any()


@EVERY_METHOD
def test_what_cannot_be_forgotten_is_said_once(method: str) -> None:
    federation = federation_of()
    participation = Schedule(None, Census(federation, 0))
    simulation = made(method, federation=federation, participation=participation)
    for r in range(4):
        simulation.round(r)
    words = {
        "local": "",
        "fedora": "",
        "pfedhn": "what the hypernetwork learnt from them",
        "pfedhn-pc": "what the hypernetwork learnt from them",
    }
    assert simulation.not_forgotten == words.get(method, "their part in the global model")


def test_the_register_goes_on_where_it_was() -> None:
    simulation, again = simulate(), simulate()
    assert simulation.register.table().empty
    for r in range(3):
        simulation.round(r, attendance([0, 1, 3], (1,), {3: 0.4}))
        again.round(r, attendance([0, 1, 3], (1,), {3: 0.4}))
        again.register.restore(again.register.table().copy())
    pd.testing.assert_frame_equal(simulation.register.table(), again.register.table())
    dtypes = simulation.register.table().dtypes
    assert dtypes.to_dict() == simulate().register.table().dtypes.to_dict()
