"""The stacked engine gives the numbers of the sequential one, whatever a client overrides."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from small_federations import UNEVEN, federation_of, simulate
from torch import nn

from pflbench.engine import Simulation
from pflbench.method import LocalBudget

CLIENTS = [
    "pflbench.method:Client",
    *(
        f"small_methods:{name}"
        for name in (
            "OwnLoss",
            "OwnGradient",
            "OwnAfterStep",
            "AllSmallPlaces",
            "Proximal",
            "Pulled",
            "AllTerms",
            "OwnStep",
            "OwnTrain",
            "StartsWithData",
            "KeepsState",
            "Adapted",
        )
    ),
    "pflbench_algorithms.local.client:KeptClient",
]
BUDGETS = {"epochs": LocalBudget(4, epochs=2), "steps": LocalBudget(4, steps=3)}


def played(rounds: int = 3, **options: object) -> tuple[Simulation, dict[str, torch.Tensor]]:
    simulation = simulate(**options)  # type: ignore[arg-type]
    seen: dict[str, torch.Tensor] = {}
    for r in range(rounds):
        report = simulation.round(r)
        seen[f"round {r}: loss"] = torch.tensor(report.train_loss)
        seen[f"round {r}: steps"] = torch.tensor(report.steps)
        seen |= {f"round {r}: received {k}": v for k, v in report.received.items()}
        seen |= {f"round {r}: context {k}": v for k, v in report.context.items()}
    return simulation, seen | simulation.state()


def assert_alike(
    a: tuple[Simulation, dict[str, torch.Tensor]],
    b: tuple[Simulation, dict[str, torch.Tensor]],
    tolerance: float = 1e-10,
) -> None:
    assert a[1].keys() == b[1].keys()
    for name, value in a[1].items():
        torch.testing.assert_close(
            b[1][name], value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert a[0].traffic.table().equals(b[0].traffic.table())
    (one, steps), (other, other_steps) = a[0].evaluate(3), b[0].evaluate(3)
    pd.testing.assert_frame_equal(one, other, rtol=100 * tolerance, atol=100 * tolerance)
    assert steps == other_steps


@pytest.mark.mostly_slow("steps-AllTerms")
@pytest.mark.parametrize("client", CLIENTS, ids=lambda c: c.partition(":")[2])
@pytest.mark.parametrize("budget", BUDGETS)
def test_every_place_of_a_client_in_every_chunk(client: str, budget: str) -> None:
    options = {"client": client, "budget": BUDGETS[budget], "record": True, "participation": 0.8}
    if client.endswith("KeptClient"):
        options["server"] = "pflbench.method:Server"
    reference = played(engine="sequential", **options)
    moved = reference[0].personal(reference[0].everyone) - reference[0].task.initial
    assert moved.abs().max() > 1e-3, "nothing was trained"
    for chunk in range(1, len(UNEVEN) + 2):
        assert_alike(reference, played(engine="stacked", chunk=chunk, **options))


def test_clients_of_one_size_are_viewed_not_gathered_and_still_agree() -> None:
    options = {"client": "small_methods:StartsWithData", "federation": federation_of((6, 6, 6, 6))}
    reference = played(engine="sequential", **options)
    for chunk in (1, 3, 4):
        assert_alike(reference, played(engine="stacked", chunk=chunk, **options))


def test_convolutions_agree() -> None:
    federation = federation_of((5, 2, 9), shape=(1, 16, 16))
    module = nn.Sequential(
        nn.Conv2d(1, 2, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(18, 3)
    )
    options = {"federation": federation, "module": module, "head": "4."}
    reference = played(engine="sequential", rounds=2, **options)
    assert_alike(reference, played(engine="stacked", rounds=2, chunk=2, **options))


def test_single_precision_agrees_to_rounding() -> None:
    options = {"client": "small_methods:AllSmallPlaces", "dtype": torch.float32}
    reference = played(engine="sequential", **options)
    assert_alike(reference, played(engine="stacked", chunk=2, **options), tolerance=2e-5)


@pytest.mark.mostly_slow("AllTerms")
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("name", ["Pulled", "AllTerms"])
def test_the_fast_step_does_what_the_written_one_says(name: str, engine: str) -> None:
    options = {"engine": engine, "record": True}
    written = played(client=f"small_methods:{name}ByStep", **options)
    assert_alike(written, played(client=f"small_methods:{name}", **options))


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_the_order_of_a_cohort_decides_nothing(engine: str) -> None:
    cohort = torch.tensor([3, 0, 4])
    a, b = (simulate("small_methods:KeepsState", engine=engine) for _ in range(2))
    a.round(0, cohort)
    b.round(0, cohort.flip(0))
    for name, value in a.state().items():
        torch.testing.assert_close(b.state()[name], value)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("client", range(len(UNEVEN)))
def test_a_cohort_of_one_trains_it_and_touches_nobody_else(engine: str, client: int) -> None:
    simulation = simulate("small_methods:KeepsState", engine=engine)
    before = {n: t.clone() for n, t in simulation.states.items()}
    simulation.round(0, torch.tensor([client]))
    for name, value in simulation.states.items():
        changed = (
            (value != before[name]).flatten(start_dim=1).any(dim=1)
            if value.ndim > 1
            else (value != before[name])
        )
        assert changed.tolist() == [i == client for i in range(len(UNEVEN))], name


def play(simulation: Simulation, rounds: int) -> None:
    for r in range(rounds):
        simulation.round(r)


def test_both_engines_name_the_same_divergence() -> None:
    from pflbench.errors import DivergedError
    from pflbench.method import Sgd

    found = []
    for engine in ("stacked", "sequential"):
        simulation = simulate(engine=engine, optimiser=Sgd(1e18), dtype=torch.float32)
        with pytest.raises(DivergedError) as error:
            play(simulation, rounds=5)
        found.append((error.value.round, error.value.client, error.value.step))
    assert found[0] == found[1]
