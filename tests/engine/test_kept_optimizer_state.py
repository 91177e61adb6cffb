"""`state=kept`: the optimizer of each client lives on, as one of `torch.optim` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_federations import federation_of, mlp_for, simulate
from torch import Tensor, nn

import pflbench
from pflbench.engine.optimisers import Adam, RmsProp
from pflbench.errors import InputError
from pflbench.method import Clip, Optimiser, Sgd
from pflbench.results import Store
from pflbench.runs import Observer, RunRequest, execution, plan

COHORTS = ([0, 1, 3], [0, 1, 2, 3, 4], [1, 4], [0, 1, 4])
Make = Callable[[Any], torch.optim.Optimizer]

OPTIMISERS: dict[str, tuple[Optimiser, Make]] = {
    "sgd": (
        Sgd(0.05, 0.9, 1e-3, kept=True),
        lambda p: torch.optim.SGD(p, 0.05, 0.9, weight_decay=1e-3),
    ),
    "dampened": (
        Sgd(0.05, 0.9, dampening=0.5, kept=True),
        lambda p: torch.optim.SGD(p, 0.05, 0.9, dampening=0.5),
    ),
    "adam": (Adam(0.01, kept=True), lambda p: torch.optim.Adam(p, 0.01)),
    "rmsprop": (
        RmsProp(0.01, momentum=0.5, kept=True),
        lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.5),
    ),
}


def batches(client: int, round: int) -> np.ndarray:
    """Return two or three batches of at most four samples; -1 pads."""
    n = (5, 12, 1, 20, 8)[client]
    order = np.random.default_rng((client, round)).permutation(n)[:12]
    rows = [order[at : at + 4] for at in range(0, len(order), 4)]
    return np.array([[*row, *[-1] * (4 - len(row))] for row in rows])


def loop(make: Make, clip: float | None) -> list[Tensor]:
    """Return the global model after each round of a plain loop of FedAvg."""
    data = federation_of()
    models = [mlp_for(data).double() for _ in range(5)]
    optimisers = [make(model.parameters()) for model in models]
    w = nn.utils.parameters_to_vector(models[0].parameters()).detach()
    after = []
    for r, cohort in enumerate(COHORTS):
        uploads = []
        for i in cohort:
            nn.utils.vector_to_parameters(w.clone(), models[i].parameters())
            x, y = (t.clone() for t in data.train.client(i))
            for batch in batches(i, r):
                own = batch[batch >= 0]
                optimisers[i].zero_grad()
                nn.functional.cross_entropy(models[i](x[own].double()), y[own]).backward()
                if clip is not None:
                    nn.utils.clip_grad_norm_(models[i].parameters(), clip)
                optimisers[i].step()
            uploads.append(nn.utils.parameters_to_vector(models[i].parameters()).detach())
        n = torch.tensor(data.train.sizes[cohort]).double()
        w = (n[:, None] * torch.stack(uploads)).sum(dim=0) / n.sum()
        after.append(w)
    return after


@pytest.mark.mostly_slow("sgd-0.5", "adam-None-stacked-2")
@pytest.mark.parametrize(
    ("engine", "chunk"), [("stacked", 2), ("stacked", 9), ("sequential", None)]
)
@pytest.mark.parametrize(
    ("name", "clip"), [("sgd", None), ("sgd", 0.5), *((n, None) for n in list(OPTIMISERS)[1:])]
)
def test_training_is_that_of_an_optimizer_that_lives_on(
    name: str, clip: float | None, engine: str, chunk: int | None
) -> None:
    optimiser, make = OPTIMISERS[name]
    simulation = simulate(
        optimiser=optimiser, engine=engine, chunk=chunk, batches=batches, clip=Clip(norm=clip)
    )
    for r, (cohort, expected) in enumerate(zip(COHORTS, loop(make, clip), strict=True)):
        simulation.round(r, torch.tensor(cohort))
        found = simulation.personal(torch.tensor([2]))[0]
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    table, _ = simulation.evaluate(4)
    assert np.isfinite(table["loss"]).all()


def test_fresh_is_another_training() -> None:
    losses = {
        kept: simulate(optimiser=Adam(0.01, kept=kept)).round(0).train_loss for kept in (0, 1)
    }
    assert losses[0] == losses[1]
    one, other = (simulate(optimiser=Adam(0.01, kept=kept)) for kept in (False, True))
    for simulation in (one, other):
        for r in range(2):
            simulation.round(r)
    everyone = torch.arange(5)
    assert not torch.equal(one.personal(everyone), other.personal(everyone))
    assert one.traffic.table().equals(other.traffic.table())  # it never leaves the client


def planned(data: str, **asked: Any) -> Any:
    return plan(RunRequest("fedavg", data, clients=3, rounds=2, **asked))


def test_only_kept_is_in_an_identity(data: str) -> None:
    for name in ("adam", "sgd(nesterov=true)", "yogi", "adagrad", "rmsprop"):
        made = planned(data, optimizer=name).cell
        assert "state" not in made.to_json()["scenario"]["optimizer"]["parameters"]
        inside = name.rstrip(")").replace("(", "(") + (", " if "(" in name else "(")
        assert planned(data, optimizer=f"{inside}state=fresh)").cell.id == made.id
        kept = planned(data, optimizer=f"{inside}state=kept)")
        assert kept.cell.id != made.id
        assert kept.optimiser.kept
    assert planned(data, optimizer="sgd(state=fresh)").cell.id == planned(data).cell.id
    with pytest.raises(InputError, match="state"):
        planned(data, optimizer="adam(state=keep)")


class Stops(Observer):
    def round_done(self, progress: Any) -> None:
        if progress.round == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimizer", ["adam(state=kept)", "sgd(state=kept)"])
def test_a_resumed_run_is_the_same(
    optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    asked: dict[str, Any] = {"rounds": 5, "participation": 0.6, "optimizer": optimizer}
    whole = pflbench.run("fedora", federation_of(), **asked)
    asked["results"] = tmp_path / "results"
    with pytest.raises(KeyboardInterrupt):
        pflbench.run("fedora", federation_of(), observers=[Stops()], **asked)
    assert Store(asked["results"]).runs()[0].reached == 2
    resumed = pflbench.run("fedora", federation_of(), **asked)
    pd.testing.assert_frame_equal(resumed.metrics, whole.metrics, check_exact=True)


@pytest.mark.parametrize(
    ("method", "asked", "words"),
    [
        ("fedavg", {"optimizer": "sgd(state=kept)", "momentum": 0.0}, "keeps nothing"),
        ("fedrep", {"optimizer": "adam(state=kept)"}, "trains in phases or by steps of its own"),
        ("apfl", {"optimizer": "adam(state=kept)"}, "trains in phases or by steps of its own"),
        (
            "pfedhn-pc",
            {"optimizer": "sgd(state=kept)"},
            "begins a round with a momentum of its own",
        ),
        ("scaffold", {"optimizer": "sgd(state=kept)"}, "its state fresh in every round"),
        ("fednova", {"optimizer": "sgd(state=kept)"}, "its state fresh in every round"),
    ],
)
def test_where_it_has_no_meaning_it_is_refused(
    method: str, asked: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        pflbench.run(method, federation_of(), rounds=1, results=tmp_path / "results", **asked)


def test_what_trains_for_an_evaluation_begins_afresh() -> None:
    options: dict[str, Any] = {"rounds": 2, "new_clients": 0.4, "onboarding_steps": 3}
    result = pflbench.run("fedavg-ft", federation_of(), optimizer="adam(state=kept)", **options)
    assert result.summary["adapt_steps"] > 0
    assert np.isfinite(result.onboarding["loss"]).all()
