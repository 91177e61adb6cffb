"""Optimizers, schedules and clipping as a run asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pflbench
from pflbench import Federation
from pflbench.engine.optimisers import AdamW
from pflbench.errors import InputError
from pflbench.method import Sgd
from pflbench.method.schedule import MultiStep
from pflbench.results import Store
from pflbench.runs import RunRequest, plan

NAMES = ("sgd(nesterov=true)", "adam", "adamw", "adagrad", "rmsprop(centered=true)", "yogi")


def planned(data: str, **asked: Any) -> Any:
    return plan(RunRequest("fedavg", data, clients=3, rounds=2, **asked))


def test_a_run_without_them_has_the_id_that_it_always_had(data: str) -> None:
    usual = planned(data).cell
    for same in ({"optimizer": "sgd"}, {"schedule": "constant"}, {"optimizer": "sgd(dampening=0)"}):
        assert planned(data, **same).cell.id == usual.id
    assert not {"optimizer", "schedule", "clip_norm"} & usual.to_json()["scenario"].keys()
    ids = {usual.id}
    for other in (
        *({"optimizer": name} for name in NAMES),
        {"schedule": "constant(warmup=1)"},
        {"schedule": "step"},
        {"clip_norm": 1.0},
        {"clip_value": 1.0},
    ):
        ids.add(planned(data, **other).cell.id)
    assert len(ids) == 1 + len(NAMES) + 4


def test_the_optimizer_brings_its_learning_rate_unless_one_is_given(data: str) -> None:
    made = planned(data, optimizer="adamw(beta1=0.8)")
    assert made.optimiser == AdamW(1e-3, made.cell.scenario.weight_decay, 0.8)
    assert planned(data, optimizer="adam", lr=0.2).optimiser.lr == 0.2
    assert planned(data, optimizer="sgd(nesterov=true)").optimiser == Sgd(
        made.request.lr or planned(data).cell.scenario.lr, 0.9, 5e-5, nesterov=True
    )
    assert planned(data, schedule="multistep(at=3+5, gamma=0.5)").schedule == MultiStep(
        0, (3, 5), 0.5
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"optimizer": "adm"}, "no optimizer 'adm'. Did you mean 'adam'"),
        ({"optimizer": "adam(beta3=1)"}, "beta3"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum = 0.9 is SGD's"),
        ({"optimizer": "sgd(nesterov=true)", "momentum": 0.0}, "needs momentum > 0"),
        ({"schedule": "multistep(at=5+3)"}, "ascending rounds joined by"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"clip_value": -1.0}, "clip_value"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    asked: dict[str, Any], words: str, data: str
) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        planned(data, **asked)


@pytest.mark.mostly_slow("adamw", "nesterov")
@pytest.mark.parametrize("optimizer", NAMES)
def test_a_run_trains_with_it_and_is_reproduced(optimizer: str, data: str, folder: Path) -> None:
    result = pflbench.run(
        "fedavg",
        data,
        clients=3,
        rounds=3,
        optimizer=optimizer,
        schedule="exponential(gamma=0.9)",
        clip_norm=5.0,
        results=folder / "results",
    )
    losses = result.rounds["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    stored = Store(folder / "results").named(result.run_id)
    assert stored.typed_cell.scenario.clip_norm == 5.0
    again = pflbench.reproduce(result.run_id, results=folder / "results")
    assert again.agrees


def test_clipping_to_nothing_leaves_the_model_where_it_is(data: str) -> None:
    losses = [
        pflbench.run("fedavg", data, clients=3, rounds=2, weight_decay=0.0, clip_norm=c).metrics
        for c in (1e-12, 1e-9)
    ]
    np.testing.assert_allclose(losses[0]["loss"], losses[1]["loss"], atol=1e-6)


@pytest.mark.parametrize("method", ["fedora", "fedprox", "fedavg-ft", "local", "pfedhn"])
def test_methods_train_with_adam_in_both_engines(method: str) -> None:
    rng = np.random.default_rng(0)
    clients = [
        {
            f"{split}_{part}": value
            for split in ("train", "val", "test")
            for part, value in (
                ("x", rng.normal(size=(n, 4)).astype(np.float32)),
                ("y", np.arange(n) % 3),
            )
        }
        for n in (7, 5, 9)
    ]
    data = Federation.from_arrays(clients, classes=3)
    tables = [
        pflbench.run(
            method, data, rounds=2, optimizer="adam", clip_norm=1.0, engine=engine
        ).metrics["loss"]
        for engine in ("stacked", "sequential")
    ]
    np.testing.assert_allclose(tables[0], tables[1], rtol=1e-4)
    assert torch.isfinite(torch.tensor(tables[0].to_numpy())).all()
