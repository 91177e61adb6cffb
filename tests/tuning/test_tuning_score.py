"""Tuning by another metric than accuracy: chosen, kept and reported by it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from searching import PLAN, tune_all

from pflbench.analysis import boards, with_tuning
from pflbench.errors import UnknownNameError
from pflbench.experiments.tuning.chosen import tuned
from pflbench.experiments.tuning.targets import targets
from pflbench.report.tables.render import render
from pflbench.results import Store
from pflbench.results.tunings import Study, Trial, read_study, studies_of, write_study
from pflbench.runs import execute, plan
from pflbench.runs.request import RunRequest

PUBLISHED = Path(__file__).parents[2] / "results" / "tuned" / "tuning" / "studies"
TWO = dataclasses.replace(PLAN, trials=2)


@pytest.fixture
def request_of(digits: str) -> RunRequest:
    return RunRequest("local", digits, partition="iid", clients=4, rounds=1, eval_every=1, seed=0)


def on_validation(run_id: str, results: Path, column: str) -> float:
    run = Store(results / "tuning").get(run_id)
    assert run is not None
    table = run.table("metrics")
    chosen = (table["round"] == run.summary["selected_round"]) & (table["split"] == "val")
    return float(table[chosen][column].mean())


def test_studies_by_accuracy_stay_byte_for_byte(tmp_path: Path) -> None:
    paths = sorted(PUBLISHED.glob("*.json"))
    assert paths
    for path in paths:
        study = read_study(path)
        assert study.score == "accuracy"
        assert write_study(tmp_path, study).read_bytes() == path.read_bytes()


def test_trials_are_chosen_by_the_score_in_its_direction(
    request_of: RunRequest, tmp_path: Path
) -> None:
    found = {}
    for score in ("accuracy", "macro-f1", "loss"):
        (found[score],) = tune_all([request_of], tmp_path, dataclasses.replace(TWO, score=score))
    assert len({study.id for study in found.values()}) == 3
    for score, column in (("macro-f1", "macro-f1"), ("loss", "loss")):
        for trial in found[score].trials:
            # The same settings were run by accuracy before, without the metric.
            expected = on_validation(trial.runs[0], tmp_path, column)
            assert trial.value == pytest.approx(expected, rel=1e-6)
    f1, loss = found["macro-f1"], found["loss"]
    assert (f1.higher_is_better, loss.higher_is_better) == (True, False)
    assert f1.best is not None
    assert f1.best.value == max(trial.value or 0 for trial in f1.trials)
    assert loss.best is not None
    assert loss.best.value == min(trial.value or 9 for trial in loss.trials)
    assert {study.id for study in studies_of(tmp_path)} == {s.id for s in found.values()}
    again = tune_all([request_of], tmp_path, dataclasses.replace(TWO, score="macro-f1"))
    assert again == [f1]

    (request,) = tuned([request_of], dataclasses.replace(TWO, score="loss"), tmp_path)
    assert loss.best is not None
    assert dict(request.parameters) == dict(loss.best.parameters)
    execute(plan(request), Store(tmp_path, create=True))
    (board,) = with_tuning(boards(Store(tmp_path).runs()), [loss])
    assert "Tuned on validation by loss, 2 trials each of 1 round" in render(board, "markdown")


def test_of_equal_values_the_first_is_best_in_either_direction() -> None:
    trials = tuple(Trial(n, {}, "complete", v, ()) for n, v in enumerate((0.5, 0.2, 0.2, 0.5)))
    for higher, best in ((True, 0), (False, 1)):
        study = Study({}, "local", "1", {}, (), (0,), "", trials, "loss", higher)
        assert study.best is not None
        assert study.best.number == best


def test_a_score_that_no_metric_has_is_refused(request_of: RunRequest) -> None:
    with pytest.raises(UnknownNameError, match="macro-f1"):
        targets([request_of], dataclasses.replace(TWO, score="macro-f"))
