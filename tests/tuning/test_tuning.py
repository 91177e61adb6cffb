"""Tuning: the same trials for every method, whatever interrupts it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from searching import PLAN, Stopping, tune_all

from pflbench.analysis import boards, with_tuning
from pflbench.errors import InputError, WorkError
from pflbench.experiments.executors import Here, Outcome, Watch, Work
from pflbench.experiments.executors.lost_cells import lost
from pflbench.experiments.grid import TuningPlan
from pflbench.experiments.tuning import points
from pflbench.experiments.tuning.chosen import tuned
from pflbench.experiments.tuning.search import tune
from pflbench.experiments.tuning.targets import targets
from pflbench.report.tables.render import render
from pflbench.results import Store
from pflbench.results.tunings import studies_of, write_study
from pflbench.runs import execute, plan
from pflbench.runs.request import RunRequest


@pytest.mark.slow
def test_every_method_has_the_same_trials(requests: list[RunRequest], tmp_path: Path) -> None:
    plan = TuningPlan(trials=3, rounds=2, seeds=(0, 3), extend=False)
    studies = {study.algorithm: study for study in tune_all(requests, tmp_path, plan)}
    assert [len(studies[name].trials) for name in ("fedprox", "local")] == [3, 3]
    assert [d.name for d in studies["fedprox"].space] == ["mu", "local_lr"]
    assert [d.name for d in studies["local"].space] == ["local_lr"]
    for study in studies.values():
        start = {d.name: d.start for d in study.space}
        assert study.trials[0].parameters == start
        for trial in study.trials[1:]:
            for d in study.space:
                tried = trial.parameters[d.name]
                assert isinstance(tried, (int, float))
                assert d.low <= tried <= d.high
        store = Store(tmp_path / "tuning")
        for trial in study.trials:
            runs = [store.get(run) for run in trial.runs]
            assert [run.cell["seed"] for run in runs if run] == [0, 3]
            values = [run.summary["val_accuracy"] for run in runs if run]
            assert trial.value == pytest.approx(sum(values) / 2, abs=1e-12)
        assert study.best is not None
        assert study.best.value == max(t.value for t in study.trials if t.value is not None)


def test_what_is_written_is_what_is_read(requests: list[RunRequest], tmp_path: Path) -> None:
    studies = tune_all(requests, tmp_path)
    assert {s.id: s for s in studies} == {s.id: s for s in studies_of(tmp_path)}


@pytest.mark.mostly_slow("1]")
@pytest.mark.parametrize("after", [0, 1, 4])
def test_an_interrupted_search_tries_the_same(
    requests: list[RunRequest], tmp_path: Path, after: int
) -> None:
    whole = tune_all(requests, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt), Stopping(after) as stopping:
        tune(targets(requests, PLAN).values(), PLAN, tmp_path / "parts", stopping)
    assert tune_all(requests, tmp_path / "parts") == whole


@pytest.mark.slow
@pytest.mark.parametrize("at", ["ask", "_suggest"])
def test_a_search_stopped_while_it_draws_a_setting_tries_the_same(
    digits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    request = RunRequest("fedprox", digits, partition="iid", clients=4, eval_every=1)
    monkeypatch.setattr(points, "SPREAD", 1)  # so that trials after the second are learnt
    plan = TuningPlan(trials=4, rounds=1, extend=False)
    whole = tune_all([request], tmp_path / "whole", plan)
    owner: Any = optuna.Study if at == "ask" else optuna.Trial
    draw = getattr(owner, at)
    calls = 0

    def stopped_now_and_then(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3 == 2:
            raise KeyboardInterrupt
        return draw(*arguments)

    monkeypatch.setattr(owner, at, stopped_now_and_then)
    for _ in range(20):
        try:
            again = tune_all([request], tmp_path / "parts", plan)
            break
        except KeyboardInterrupt:
            continue
    assert calls > plan.trials
    assert again == whole


@pytest.mark.mostly_slow("a lock")
@pytest.mark.parametrize("left", ["half a line", "a lock"])
def test_a_search_killed_while_it_writes_goes_on(
    requests: list[RunRequest], tmp_path: Path, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tune_all(requests, tmp_path / "whole")
    tune_all(requests, tmp_path / "parts", dataclasses.replace(PLAN, trials=1))
    studies = tmp_path / "parts" / "tuning" / "studies"
    for journal in studies.glob("*.journal"):
        if left == "half a line":  # as far as a full disk let it
            with journal.open("ab") as file:
                file.write(b'{"op_code": 4, "wor')
        else:
            journal.with_name(f"{journal.name}.lock").symlink_to(journal)
    slept, sleep = [], time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (slept.append(seconds), sleep(seconds)))
    assert tune_all(requests, tmp_path / "parts") == whole
    assert sum(slept) < 5  # Optuna waits for half a minute before it takes a lock
    assert {path.suffix for path in studies.iterdir()} == {".json", ".journal"}


@pytest.mark.mostly_slow("damaged]")
@pytest.mark.parametrize("fault", ["damaged", "gone"])
def test_a_trial_whose_run_is_damaged_or_gone_is_run_again(
    requests: list[RunRequest], tmp_path: Path, fault: str
) -> None:
    whole = tune_all(requests, tmp_path)
    store = Store(tmp_path / "tuning")
    for study, number in zip(whole, (0, 2), strict=True):
        folder = tmp_path / "tuning" / "runs" / study.trials[number].runs[0]
        if fault == "gone":
            shutil.rmtree(folder)
        else:
            table = folder / "metrics.parquet"
            table.write_bytes(table.read_bytes()[:-100])
    assert tune_all(requests, tmp_path) == whole
    assert {run.status for run in store.runs()} == {"complete"}
    for journal in tmp_path.rglob("*.journal"):  # each trial is told of once
        assert journal.read_text().count("datetime_complete") == 3


def test_a_lock_that_cannot_be_made_is_nobody_elses(
    requests: list[RunRequest], tmp_path: Path
) -> None:
    (study,) = targets(requests[:1], PLAN)
    for folder in (tmp_path, tmp_path / "tuning"):
        Store(folder, create=True).make()
    (tmp_path / "tuning" / ".locks" / f"{study}.lock").mkdir()
    with pytest.raises(WorkError, match="could not be written"):
        tune_all(requests[:1], tmp_path)


def test_what_is_tried_does_not_depend_on_the_company(
    requests: list[RunRequest], tmp_path: Path
) -> None:
    together = {study.id: study for study in tune_all(requests, tmp_path / "together")}
    alone = tune_all([r for r in requests if r.algorithm == "local"], tmp_path / "alone")
    assert [together[study.id] for study in alone] == alone


def test_more_trials_are_added_to_those_there_are(
    requests: list[RunRequest], tmp_path: Path
) -> None:
    few = tune_all(requests, tmp_path, dataclasses.replace(PLAN, trials=1))
    more = tune_all(requests, tmp_path)
    for before, after in zip(few, more, strict=True):
        assert after.trials[:1] == before.trials
        assert len(after.trials) == 3


def test_what_is_given_is_not_tuned(digits: str, tmp_path: Path) -> None:
    given = {"mu": 0.5, "local_lr": 0.01}
    request = RunRequest("fedprox", digits, partition="iid", clients=4, parameters={"mu": "0.5"})
    (only,) = targets([request], PLAN).values()
    assert dict(only.study.fixed) == {"mu": 0.5}
    assert [d.name for d in only.study.space] == ["local_lr"]
    request = dataclasses.replace(request, parameters=given)
    (none,) = targets([request], PLAN).values()
    assert none.study.space == ()


def test_a_learning_rate_out_of_the_usual_range_is_in_the_search(digits: str) -> None:
    request = RunRequest("local", digits, partition="iid", clients=4, lr=0.5)
    (target,) = targets([request], PLAN).values()
    (rate,) = target.study.space
    assert (rate.low, rate.high, rate.start) == (1e-3, 0.5, 0.5)


def test_the_first_trial_has_the_default_to_its_last_digit(digits: str, tmp_path: Path) -> None:
    request = RunRequest("local", digits, partition="iid", clients=4, lr=0.03125)
    (study,) = tune_all([request], tmp_path, TuningPlan(trials=1, rounds=1, extend=False))
    assert study.trials[0].parameters == {"local_lr": 0.03125}
    cell = Store(tmp_path / "tuning").runs()[0].typed_cell
    assert cell.algorithm.parameters == {}  # the scenario's rate is not a row of its own


def test_own_files_are_loaded_once_for_a_matrix(
    requests: list[RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune_all(requests, tmp_path, TuningPlan(trials=1, rounds=1, extend=False))
    loads, load = 0, np.load

    def counted(*arguments: Any, **more: Any) -> Any:
        nonlocal loads
        loads += 1
        return load(*arguments, **more)

    monkeypatch.setattr(np, "load", counted)
    tuned(requests, TuningPlan(trials=1, rounds=1, extend=False), tmp_path)
    assert loads == 1


def test_a_trial_that_diverges_is_a_trial(digits: str, tmp_path: Path) -> None:
    request = RunRequest(
        "local", digits, partition="iid", clients=4, rounds=2, lr=1e30, momentum=0.0
    )
    plan = TuningPlan(trials=3, extend=False)
    (study,) = tune_all([request], tmp_path, plan)
    assert study.trials[0].state == "failed"
    assert "NaN" in study.trials[0].reason
    assert len(study.finished) == 3
    assert study.best is None or study.best.number > 0


def test_a_matrix_runs_with_what_was_found(requests: list[RunRequest], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run pflbench tune first"):
        tuned(requests, PLAN, tmp_path)
    studies = {study.algorithm: study for study in tune_all(requests, tmp_path)}
    with pytest.raises(InputError, match="2 of the matrix's methods"):
        tuned(requests, dataclasses.replace(PLAN, trials=5), tmp_path)
    found = tuned(requests, PLAN, tmp_path)
    assert [(r.algorithm, r.seed) for r in found] == [(r.algorithm, r.seed) for r in requests]
    for request in found:
        best = studies[request.algorithm].best
        assert best is not None
        assert request.parameters == best.parameters
        assert request.rounds == 4  # of the matrix, not of the trials


def test_one_process_tunes_a_study(requests: list[RunRequest], tmp_path: Path) -> None:
    class Meddling(Here):
        def run(self, works: Sequence[Work], watch: Watch) -> Iterator[Outcome]:
            with pytest.raises(WorkError, match="Another process tunes fedprox on"):
                tune_all(requests, tmp_path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Meddling() as meddling:
        tune(targets(requests, PLAN).values(), PLAN, tmp_path, meddling)


@pytest.mark.slow
def test_a_machine_that_fails_a_trial_leaves_it_to_be_taken_up(
    requests: list[RunRequest], tmp_path: Path
) -> None:
    class Full(Here):
        def run(self, works: Sequence[Work], watch: Watch) -> Iterator[Outcome]:
            for work in works:
                yield Outcome(work.run_id, "failed", "No space left on device.")

    with pytest.raises(WorkError, match="No space left"), Full() as full:
        tune(targets(requests, PLAN).values(), PLAN, tmp_path / "parts", full)
    assert tune_all(requests, tmp_path / "parts") == tune_all(requests, tmp_path / "whole")


@pytest.mark.parametrize("spoil", ["{", '{"format": "other"}', "renamed", "typed", "other value"])
def test_a_damaged_study_is_named(requests: list[RunRequest], tmp_path: Path, spoil: str) -> None:
    tune_all(requests[:1], tmp_path, TuningPlan(trials=1, rounds=1, extend=False))
    (path,) = (tmp_path / "tuning" / "studies").glob("*.json")
    if spoil == "renamed":
        shutil.move(path, path.with_stem("0" * 12))
    elif spoil == "typed":
        content = json.loads(path.read_text())
        content["trials"][0]["value"] = "high"
        path.write_text(json.dumps(content))
    elif spoil == "other value":  # than that of the runs that it names
        content = json.loads(path.read_text())
        content["trials"][0]["value"] += 0.125
        path.write_text(json.dumps(content))
    else:
        path.write_text(spoil)
    with pytest.raises(InputError, match=r"\.json"):
        studies_of(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"}{garbage",
        b"\xff\x00\x80",
        b"[1, 2]",
        b'{"op_code": 99, "worker_id": "w"}',
        b'{"op_code": 4, "worker_id": "w"}',
        None,
    ],
    ids=["garbage", "binary", "array", "unknown", "without-study", "other-value"],
)
def test_a_damaged_journal_is_named_with_the_way_out(
    requests: list[RunRequest], tmp_path: Path, line: bytes | None
) -> None:
    plan = TuningPlan(trials=2, rounds=1, extend=False)
    before = tune_all(requests[:1], tmp_path, plan)
    (path,) = (tmp_path / "tuning" / "studies").glob("*.journal")
    content = path.read_bytes().splitlines()
    if line is None:
        entries = [json.loads(one) for one in content]
        (at, *_) = (i for i, entry in enumerate(entries) if entry.get("values"))
        content[at] = json.dumps({**entries[at], "values": [0.96875]}).encode()
    else:
        content.insert(3, line)
    path.write_bytes(b"\n".join(content) + b"\n")
    with pytest.raises(InputError, match=rf"{path.name} is damaged: .* Remove it and give the"):
        tune_all(requests[:1], tmp_path, plan)
    path.unlink()
    assert tune_all(requests[:1], tmp_path, plan) == before


def test_a_board_says_what_was_tuned(requests: list[RunRequest], tmp_path: Path) -> None:
    tune_all([r for r in requests if r.algorithm == "local"], tmp_path)
    local = [r for r in requests if r.algorithm == "local"]
    asked = [*tuned(local, PLAN, tmp_path), RunRequest(**vars(requests[0])), requests[1]]
    for request in asked:
        execute(plan(request), Store(tmp_path))
    (board,) = with_tuning(boards(Store(tmp_path).runs()), studies_of(tmp_path))
    by_name = {row.algorithm: row for row in board.rows if row.run_ids}
    assert (by_name["local"].tuned, by_name["fedprox"].tuned) == (3, 0)
    said = "Tuned on validation, 3 trials each of 1 round with seed 100: local (local_lr)."
    assert said in board.notes
    assert "Not tuned: fedprox." in board.notes
    assert said in render(board)
    (bare,) = with_tuning(boards(Store(tmp_path).runs()), [])
    assert any(note.startswith("Nothing is tuned") for note in bare.notes)


@pytest.mark.slow
def test_every_method_tries_the_same_learning_rates(
    requests: list[RunRequest], tmp_path: Path
) -> None:
    plan = TuningPlan(trials=4, rounds=1, extend=False)
    one, other = tune_all(requests, tmp_path, plan)
    rates = [[trial.parameters["local_lr"] for trial in study.trials] for study in (one, other)]
    # The default, then halves and quarters of the range, which is logarithmic.
    assert rates[0] == rates[1] == [0.005, 0.01, 0.00316, 0.0316]
    weights = [trial.parameters["mu"] for trial in one.trials if "mu" in trial.parameters]
    assert len(set(weights)) == (4 if one.algorithm == "fedprox" else 0)


@pytest.mark.slow
def test_no_method_profits_from_more_trials_than_the_others(
    requests: list[RunRequest], tmp_path: Path
) -> None:
    local = [r for r in requests if r.algorithm == "local"]
    few, more = (
        TuningPlan(trials=2, rounds=1, extend=False),
        TuningPlan(trials=4, rounds=1, extend=False),
    )
    (study,) = tune_all(local, tmp_path, more)
    values = (0.1, 0.5, 0.4, 0.9)
    trials = [dataclasses.replace(t, value=v) for t, v in zip(study.trials, values, strict=True)]
    study = dataclasses.replace(study, trials=tuple(trials))
    shutil.rmtree(tmp_path / "tuning" / "runs")  # which said other values
    write_study(tmp_path, study)
    asked = tuned(local, few, tmp_path)
    assert asked[0].parameters == study.trials[1].parameters
    for request in asked:
        execute(plan(request), Store(tmp_path))
    (board,) = with_tuning(boards(Store(tmp_path).runs()), studies_of(tmp_path))
    assert next(row for row in board.rows if row.algorithm == "local").tuned == 3
    assert any("3 trials each" in note for note in board.notes)


@pytest.mark.slow
def test_a_worker_that_died_is_no_verdict_on_a_setting(
    requests: list[RunRequest], tmp_path: Path
) -> None:
    class Dying(Here):
        def run(self, works: Sequence[Work], watch: Watch) -> Iterator[Outcome]:
            for work in works:
                yield lost(work, "signal 9", 3)

    with pytest.raises(WorkError, match="worker process died"), Dying() as dying:
        tune(targets(requests, PLAN).values(), PLAN, tmp_path / "parts", dying)
    assert tune_all(requests, tmp_path / "parts") == tune_all(requests, tmp_path / "whole")
