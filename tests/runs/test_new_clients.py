"""Runs with new clients: who takes part, what is kept of new clients, and that a run can go on."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_federations import federation_of

import pflbench
from pflbench import Federation
from pflbench.errors import DivergedError, InputError
from pflbench.federation import Shards
from pflbench.results import Store
from pflbench.runs import Observer, Result, RunRequest, execution, plan
from pflbench.schema.new_clients import check, drawn

METHODS = ("local", "local-plus", "fedavg", "fedavg-ft", "fedprox", "fedora", "pfedhn", "pfedhn-pc")
SIZES = (9, 12, 20, 8, 14, 11, 7)
SHORT: dict[str, Any] = {
    "rounds": 3,
    "eval_every": 1,
    "local_epochs": 1,
    "batch_size": 4,
    "lr": 0.05,
    "device": "cpu",
}
NEW: dict[str, Any] = {"new_clients": 0.4, "shots": "1,all", "onboarding_steps": 6}
TIMINGS = ["client_seconds", "server_seconds", "evaluate_seconds", "peak_memory_bytes"]


@pytest.fixture
def federation() -> Federation:
    return federation_of(SIZES)


def held_out(seed: int = 0) -> tuple[list[int], list[int]]:
    new = check(0.4, rounds=3)
    assert new is not None
    there, held = drawn(new, len(SIZES), seed)
    return there.tolist(), held.tolist()


def onboarding(result: Result) -> pd.DataFrame:
    return result.onboarding


def expect_equal_for_participants(a: Result, b: Result) -> None:
    for name in ("metrics", "rounds", "messages", "participation"):
        one, other = (r._table(name).drop(columns=TIMINGS, errors="ignore") for r in (a, b))
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.mostly_slow("fedora")
@pytest.mark.parametrize("method", METHODS)
def test_onboarding_in_the_middle_changes_nothing(method: str, federation: Federation) -> None:
    often = pflbench.run(method, federation, onboard_at="1,2", **SHORT, **NEW)
    late = pflbench.run(method, federation, **SHORT, **NEW)
    expect_equal_for_participants(often, late)
    table, last = onboarding(often), onboarding(late)
    assert table["round"].unique().tolist() == [1, 2, 3]
    assert last["round"].unique().tolist() == [3]
    pd.testing.assert_frame_equal(
        table[table["round"] == 3].drop(columns="seconds").reset_index(drop=True),
        last.drop(columns="seconds"),
        check_exact=True,
    )


@pytest.mark.mostly_slow("[fedora]")
@pytest.mark.parametrize("method", ["fedavg", "fedora", "pfedhn"])
def test_nothing_of_new_clients_reaches_anybody(method: str, federation: Federation) -> None:
    there, held = held_out()
    x = federation.train.x.clone()
    for client in held:
        begin, end = federation.train.offsets[client : client + 2]
        x[begin:end] = 5 - 2 * x[begin:end]
    other = replace(federation, train=Shards(x, federation.train.y, federation.train.offsets))
    one, two = (pflbench.run(method, data, **SHORT, **NEW) for data in (federation, other))
    expect_equal_for_participants(one, two)
    assert not np.allclose(onboarding(one)["loss"], onboarding(two)["loss"])
    alone = pflbench.run(method, federation.only(np.array(there)), **SHORT)
    numbers = alone.metrics["client"].map(dict(enumerate(there)))
    pd.testing.assert_frame_equal(one.metrics, alone.metrics.assign(client=numbers))


def test_who_is_where(federation: Federation) -> None:
    there, held = held_out()
    assert sorted(there + held) == list(range(len(SIZES)))
    assert len(held) == 3
    assert held_out(1) != held_out(0)
    for method in ("local", "fedora"):
        result = pflbench.run(method, federation, **SHORT, **NEW, participation=0.5)
        table = onboarding(result)
        assert sorted(result.metrics["client"].unique()) == there
        assert set(result._table("participation")["client"]) <= set(there)
        assert result.rounds["cohort"].tolist() == [2, 2, 2]
        assert sorted(table["client"].unique()) == held
        assert table["shots"].unique().tolist() == ["0", "1", "all"]
        assert table.groupby("shots", sort=False)["stage"].first().tolist() == [
            "zero-shot",
            "k-shot",
            "k-shot",
        ]
        assert table[table["shots"] == "all"]["labels"].tolist() == [SIZES[c] for c in held]
        assert table["samples"].tolist() == [int(federation.test.sizes[c]) for c in held] * 3
        assert table["steps"].tolist() == [0] * 3 + [6] * 6
        told = result.summary["onboarding"]
        assert (told["round"], told["clients"]) == (3, 3)
        for shots, part in table.groupby("shots"):
            mean = float((part["correct"] / part["samples"]).mean())
            assert told["accuracy"][shots] == pytest.approx(mean)
        last = result.metrics.query("round == 3 and split == 'test'")
        assert told["participants_accuracy"] == pytest.approx(last["accuracy"].mean())
        assert result.summary["clients"] == len(SIZES)


def test_rounds_after_which_clients_join_are_evaluated(federation: Federation) -> None:
    options = {**SHORT, "rounds": 5, "eval_every": 4}
    result = pflbench.run("local", federation, onboard_at=[2], **options, **NEW)
    assert sorted(result.metrics["round"].unique()) == [2, 4, 5]


def test_new_clients_of_real_digits_gain_from_labels(digits: str) -> None:
    result = pflbench.run(
        "fedavg",
        digits,
        clients=6,
        partition="iid",
        rounds=15,
        eval_every=15,
        local_epochs=2,
        batch_size=16,
        lr=0.1,
        momentum=0.5,
        new_clients=0.3,
        onboarding_steps=30,
        model="mlp(hidden=32)",
        device="cpu",
    )
    accuracy = result.summary["onboarding"]["accuracy"]
    assert list(accuracy) == ["0", "1", "5", "all"]
    assert accuracy["0"] > 0.5  # the global model, of clients alike
    alone = pflbench.run(
        "local",
        digits,
        clients=6,
        partition="iid",
        rounds=1,
        local_epochs=1,
        batch_size=16,
        lr=0.1,
        momentum=0.5,
        new_clients=0.3,
        onboarding_steps=30,
        model="mlp(hidden=32)",
        device="cpu",
    ).summary["onboarding"]["accuracy"]
    assert alone["0"] < 0.3
    assert alone["all"] > alone["1"] > alone["0"]


class StopsAfter(Observer):
    def __init__(self, rounds: int) -> None:
        self.rounds = rounds

    def round_done(self, progress: Any) -> None:
        if progress.round == self.rounds:
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("method", ["local", "fedavg", "fedora", "pfedhn", "pfedhn-pc"])
def test_an_interrupted_run_has_the_same_new_clients(
    method: str, federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**SHORT, **NEW, "rounds": 4, "onboard_at": "1,3"}
    pflbench.run(method, federation, results=tmp_path / "whole", **options)
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    for rounds in (2, 3, 4):
        with pytest.raises(KeyboardInterrupt):
            pflbench.run(
                method,
                federation,
                results=tmp_path / "cut",
                observers=[StopsAfter(rounds)],
                **options,
            )
    pflbench.run(method, federation, results=tmp_path / "cut", **options)
    (whole,), (cut,) = (Store(tmp_path / name).runs() for name in ("whole", "cut"))
    assert whole.table("onboarding")["round"].unique().tolist() == [1, 3, 4]
    for name in ("onboarding", "metrics"):
        one, other = (
            run.table(name).drop(columns="seconds", errors="ignore") for run in (cut, whole)
        )
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert cut.summary["onboarding"] == whole.summary["onboarding"]


def test_identity(federation: Federation) -> None:
    plain = plan(RunRequest("fedavg", federation, **SHORT))
    nobody = plan(RunRequest("fedavg", federation, **SHORT, new_clients=0.0))
    assert nobody.cell.id == plain.cell.id
    assert "new_clients" not in plain.cell.to_json()["scenario"]
    ids = {plain.cell.id}
    for more in ({}, {"onboard_at": "1"}, {"shots": "5"}, {"onboarding_steps": 7}, {"seed": 1}):
        ids.add(
            plan(RunRequest("fedavg", federation, **{**SHORT, "new_clients": 0.4, **more})).cell.id
        )
    assert len(ids) == 6
    written = plan(
        RunRequest(
            "fedavg",
            federation,
            **SHORT,
            new_clients=0.4,
            shots="all,5,1",
            onboard_at="3",
            onboarding_steps=100,
        )
    )
    assert written.cell.id in ids  # defaults, written out


def test_the_command_repeats_the_run(digits: str) -> None:
    request = RunRequest("fedavg", digits, rounds=9, new_clients=0.25, onboard_at="4", shots=[3])
    planned = plan(request)
    words = shlex.split(planned.command)
    for option, value in (
        ("--new-clients", "0.25"),
        ("--onboard-at", "4,9"),
        ("--shots", "3"),
        ("--onboarding-steps", "100"),
    ):
        assert words[words.index(option) + 1] == value
    again = replace(request, onboard_at="4,9", shots="3", onboarding_steps=100)
    assert plan(again).cell.id == planned.cell.id


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"new_clients": 1.0}, "new_clients 1.0 is not valid: expected a number ≥ 0 and < 1"),
        ({"shots": "1"}, "shots '1' is for new clients, and the scenario has none"),
        ({"onboard_at": "1"}, "onboard_at '1' is for new clients"),
        ({"onboarding_steps": 3}, "onboarding_steps 3 is for new clients"),
        ({"new_clients": 0.2, "onboard_at": "2,9"}, "after round 9, and the run.s last round is 3"),
        ({"new_clients": 0.2, "onboard_at": "0"}, "onboard_at '0' is not valid"),
        ({"new_clients": 0.2, "shots": "some"}, "shots 'some' is not valid"),
        ({"new_clients": 0.2, "shots": ""}, "shots is empty"),
        ({"new_clients": 0.2, "onboarding_steps": 0}, "onboarding_steps 0 is not valid"),
    ],
)
def test_what_cannot_be_done(
    options: dict[str, Any], message: str, federation: Federation, results: Path
) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        pflbench.run("fedavg", federation, results=results, **{**SHORT, **options})
    assert not list(results.glob("runs/*"))


def test_one_client_cannot_be_held_out_of_one() -> None:
    with pytest.raises(InputError, match="A federation of one client can hold none out"):
        pflbench.run("local", federation_of((9,)), **SHORT, new_clients=0.5)


def test_a_client_that_diverges_has_its_number(federation: Federation, results: Path) -> None:
    there, _ = held_out()
    client = there[-1]
    x = federation.train.x.clone()
    begin, end = federation.train.offsets[client : client + 2]
    x[begin:end] = 1e30
    broken = replace(federation, train=Shards(x, federation.train.y, federation.train.offsets))
    with pytest.raises(DivergedError, match=f"client {client} became") as caught:
        pflbench.run("local", broken, results=results, **SHORT, **NEW)
    assert caught.value.client == client
    (run,) = Store(results).runs()
    assert run.failure["client"] == client


def test_churn_and_new_clients_together(federation: Federation) -> None:
    for participation in ("dropout(p=0.4)", 0.6):
        result = pflbench.run(
            "fedora", federation, participation=participation, **SHORT, **NEW, onboard_at="1"
        )
        assert np.isfinite(onboarding(result)["loss"]).all()
