"""`patience`: training ends when validation no longer improves, and is otherwise the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pflbench
from pflbench import Federation
from pflbench.analysis import leaderboard
from pflbench.errors import InputError
from pflbench.results import Store, client_table
from pflbench.results.examining import examined
from pflbench.runs import Observer, execution

FITTED: dict[str, Any] = {"rounds": 12, "eval_every": 2, "batch_size": 8, "lr": 0.5, "seed": 3}
PATIENCE = 3


def end_of(full: pflbench.Result) -> int:
    """Return the round after which patience is over, by its definition."""
    val = client_table(full.metrics, "val")
    means = [round(float(mean), 12) for mean in val.means()]
    for k, r in enumerate(val.rounds.tolist()):
        best = val.rounds.tolist()[means.index(max(means[: k + 1]))]
        if r - best >= PATIENCE:
            assert r < FITTED["rounds"], "no test of anything"
            return r
    raise AssertionError("no test of anything")


@pytest.fixture(scope="module")
def full() -> pflbench.Result:
    from small_federations import federation_of

    return pflbench.run("local", federation_of(), **FITTED)


def check(result: pflbench.Result, full: pflbench.Result) -> None:
    """Compare a run that ended early with the first rounds of the one that did not."""
    end = end_of(full)
    assert result.summary["rounds"] == end == result.rounds["round"].max()
    timed = ["client_seconds", "server_seconds", "evaluate_seconds", "peak_memory_bytes"]
    for name, drop in (("metrics", []), ("messages", []), ("rounds", timed)):
        here, there = getattr(result, name).drop(columns=drop), getattr(full, name)
        there = there.query("round <= @end").drop(columns=drop).reset_index(drop=True)
        pd.testing.assert_frame_equal(here, there, check_exact=True)
    until = client_table(full.metrics.query("round <= @end"), "val")
    assert result.summary["selected_round"] == until.rounds[until.means().argmax()]


@pytest.mark.slow
def test_the_rounds_until_the_end_are_those_of_a_run_without(
    full: pflbench.Result, federation: Federation
) -> None:
    result = pflbench.run("local", federation, patience=PATIENCE, keep_models="last", **FITTED)
    check(result, full)
    assert result.run_id != full.run_id
    assert result.cell["scenario"]["patience"] == PATIENCE
    assert "patience" not in full.cell["scenario"]
    until = pflbench.run(
        "local", federation, keep_models="last", **{**FITTED, "rounds": end_of(full)}
    )
    one, other = result.model(1).state_dict(), until.model(1).state_dict()
    assert all(one[name].equal(other[name]) for name in one)
    patient = pflbench.run("local", federation, patience=12, **FITTED)
    pd.testing.assert_frame_equal(patient.metrics, full.metrics, check_exact=True)


class Stops(Observer):
    def __init__(self, round: int) -> None:
        self.round = round

    def round_done(self, progress: Any) -> None:
        if progress.round == self.round:
            raise KeyboardInterrupt


def test_a_stored_run_resumes_to_the_same_end_and_says_it(
    full: pflbench.Result, federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    asked: dict[str, Any] = {**FITTED, "patience": PATIENCE, "results": results}
    for round in (end_of(full) - 1, end_of(full)):  # the end itself, before it is stored
        with pytest.raises(KeyboardInterrupt):
            pflbench.run("local", federation, observers=[Stops(round)], **asked)
    check(pflbench.run("local", federation, **asked), full)
    (board,) = leaderboard(results)
    end = end_of(full)
    assert "patience 3" in board.title
    assert f"1 of 1 runs ended early, after {end} of 12 rounds" in " ".join(board.notes)
    (run,) = Store(results).runs()
    assert run.status == "complete"
    path = run.folder / "summary.json"
    summary = json.loads(path.read_text())
    del summary["sha256"]  # it must be consistent by itself
    path.write_text(json.dumps(summary))
    (run,) = Store(results).runs()
    assert examined(run).damage is None
    path.write_text(json.dumps({**summary, "rounds": 12}))
    (run,) = Store(results).runs()
    assert run.status == "damaged"


def test_new_clients_join_after_the_end(federation: Federation) -> None:
    options = {**FITTED, "new_clients": 0.4, "onboarding_steps": 2, "patience": 2}
    result = pflbench.run("fedavg", federation, **options)
    assert result.summary["rounds"] < 12
    assert result.summary["onboarding"]["round"] == result.summary["rounds"]
    assert set(result.onboarding["round"]) == {result.summary["rounds"]}


@pytest.mark.parametrize("patience", [0, -1, 1.5])
def test_a_patience_is_a_whole_number_of_rounds(patience: Any, federation: Federation) -> None:
    with pytest.raises(InputError, match=r"patience = .* expected a whole number ≥ 1"):
        pflbench.run("local", federation, patience=patience, **FITTED)
