"""Searches that continue where a best value lies at the end of what was tried."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from searching import Stopping, tune_all

from pflbench.analysis import boards, with_tuning
from pflbench.errors import InputError
from pflbench.experiments.grid import TuningPlan
from pflbench.experiments.tuning.budget import budgets
from pflbench.experiments.tuning.chosen import tuned
from pflbench.experiments.tuning.points import outward
from pflbench.experiments.tuning.search import tune
from pflbench.experiments.tuning.targets import targets
from pflbench.report.tables.render import render
from pflbench.results import Store
from pflbench.results.tuning_edges import edges, open_edges
from pflbench.results.tunings import Dimension, Study, Trial, studies_of
from pflbench.runs import execute, plan
from pflbench.runs.request import RunRequest

PLAN = TuningPlan(trials=2, rounds=1)
"""One round of little data: the larger the rate, the better."""

RATE = Dimension("local_lr", 0.001, 0.1, log=True, whole=False, start=0.005)
DEPTH = Dimension("n_hidden", 1, 3, log=False, whole=True, start=3)
SHARE = Dimension("alpha", 0.0, 1.0, log=False, whole=False, start=0.5)


@pytest.fixture(scope="module")
def searched(
    digits: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[RunRequest], Path, list[Study]]:
    """Two methods that were tuned, each with one more or several more trials than the plan's."""
    requests = [
        RunRequest(method, digits, partition="iid", clients=4, rounds=4, eval_every=2, seed=seed)
        for method in ("fedprox", "local")
        for seed in (0, 1)
    ]
    results = tmp_path_factory.mktemp("extended")
    return requests, results, tune_all(requests, results, PLAN)


def study(
    values: Sequence[tuple[float | None, tuple[float, ...]]], *space: Dimension, name: str = "local"
) -> Study:
    """A study of trials, each a value (None: it failed) and the setting that had it."""
    trials = [
        Trial(
            n,
            {d.name: v for d, v in zip(space, setting, strict=True)},
            "failed" if value is None else "complete",
            value,
            (),
        )
        for n, (value, setting) in enumerate(values)
    ]
    return Study({"dataset": "made"}, name, "1", {}, space, (100,), trials=tuple(trials))


def test_every_method_gets_as_many_further_trials(
    searched: tuple[list[RunRequest], Path, list[Study]],
) -> None:
    _, _, studies = searched
    counts = {len(study.finished) for study in studies}
    assert len(counts) == 1
    assert counts.pop() > PLAN.trials
    assert not any(open_edges(study) for study in studies)


def test_a_further_trial_moves_one_value_beyond_all_that_were_tried(
    searched: tuple[list[RunRequest], Path, list[Study]],
) -> None:
    moved = 0
    for found in searched[2]:
        for number in range(PLAN.trials, len(found.trials)):
            before = dataclasses.replace(found, trials=found.trials[:number])
            if not open_edges(before):  # another method's value was at an end
                continue
            best, further = before.best, found.trials[number]
            assert best is not None
            (name,) = (n for n in best.parameters if best.parameters[n] != further.parameters[n])
            (edge,) = (edge for edge in open_edges(before) if edge.name == name)
            if edge.side == "high":
                assert edge.value < further.parameters[name] <= edge.bound
            else:
                assert edge.value > further.parameters[name] >= edge.bound
            moved += 1
    assert moved


@pytest.mark.slow
def test_an_interrupted_continuation_tries_the_same(
    searched: tuple[list[RunRequest], Path, list[Study]], tmp_path: Path
) -> None:
    requests, _, whole = searched
    for _ in range(50):  # it is interrupted over and over, each time after one cell
        try:
            with Stopping(1) as stopping:
                again = tune(targets(requests, PLAN).values(), PLAN, tmp_path, stopping)
            break
        except KeyboardInterrupt:
            continue
    assert again == whole


def test_no_continuation_if_none_is_wanted_and_none_beyond_the_most(
    searched: tuple[list[RunRequest], Path, list[Study]], tmp_path: Path
) -> None:
    requests, _, whole = searched
    few = tune_all(requests, tmp_path, dataclasses.replace(PLAN, extend=False))
    assert {len(study.trials) for study in few} == {2}
    assert any(open_edges(study) for study in few)
    more = tune_all(requests, tmp_path, dataclasses.replace(PLAN, max_trials=3))
    assert {len(study.trials) for study in more} == {3}
    for part, all_of_it in zip(more, whole, strict=True):
        assert part.trials == all_of_it.trials[:3]


def test_a_matrix_waits_for_the_continuation(
    searched: tuple[list[RunRequest], Path, list[Study]], tmp_path: Path
) -> None:
    requests, _, _ = searched
    tune_all(requests, tmp_path, dataclasses.replace(PLAN, extend=False))
    with pytest.raises(InputError, match=r"not finished: the best of .* tried, declared .*extend"):
        tuned(requests, PLAN, tmp_path)
    studies = {study.algorithm: study for study in tune_all(requests, tmp_path, PLAN)}
    for request in tuned(requests, PLAN, tmp_path):
        best = studies[request.algorithm].best
        assert best is not None
        assert request.parameters == best.parameters


def test_the_declared_bound_ends_a_search() -> None:
    at_bound = study([(0.1, (0.005,)), (0.2, (0.0316,)), (0.3, (0.1,))], RATE)
    (edge,) = edges(at_bound)
    assert (edge.at_bound, str(edge)) == (True, "local_lr = 0.1 (its declared upper bound)")
    assert outward(at_bound) is None
    inside = study([(0.1, (0.005,)), (0.3, (0.0316,)), (0.2, (0.1,))], RATE)
    assert edges(inside) == ()
    tried = study([(0.1, (0.005,)), (0.3, (0.0316,))], RATE)
    assert str(edges(tried)[0]) == "local_lr = 0.0316 (the largest tried, declared up to 0.1)"


def test_a_value_that_fails_ends_a_search_as_a_worse_one_does() -> None:
    assert edges(study([(0.1, (0.005,)), (0.3, (0.0316,)), (None, (0.1,))], RATE)) == ()


def test_one_value_alone_was_not_searched() -> None:
    assert edges(study([(0.3, (0.005,))], RATE)) == ()
    fixed = study([(0.3, (0.005, 3)), (0.2, (0.01, 3))], RATE, DEPTH)
    assert [edge.name for edge in edges(fixed)] == ["local_lr"]


@pytest.mark.parametrize("space", [(RATE,), (DEPTH,), (SHARE,), (RATE, DEPTH, SHARE)])
@pytest.mark.parametrize("better", [1, -1])
def test_a_search_that_only_ever_improves_outward_ends_at_the_bounds(
    space: tuple[Dimension, ...], better: int
) -> None:
    """However narrow the rounding, no value is tried twice on the way."""
    values: list[tuple[float | None, tuple[float, ...]]] = [(0.0, tuple(d.start for d in space))]
    values.append((0.1, tuple(d.low if better < 0 else d.start for d in space)))
    for n in itertools.count(2):
        found = study(values, *space)
        setting = outward(found)
        if setting is None:
            break
        tried = tuple(float(d.as_tried(setting[d.name])) for d in space)
        assert tried not in [before for _, before in values]
        values.append((0.1 * n, tried))
        assert n < 20
    assert all(edge.at_bound for edge in edges(found))


def test_a_range_narrower_than_what_is_rounded_to_ends() -> None:
    narrow = Dimension("alpha", 0.99999, 1.00111, log=True, whole=False, start=1.0)
    found = study([(0.1, (0.99999,)), (0.2, (1.0,))], narrow)
    assert all(edge.at_bound for edge in edges(found))
    assert outward(found) is None


def test_scenarios_are_continued_one_by_one() -> None:
    inside = study([(0.1, (0.005,)), (0.3, (0.0316,)), (0.2, (0.1,))], RATE)
    ended = study([(0.1, (0.005,)), (0.2, (0.01,)), (0.3, (0.0316,))], RATE, name="fedavg")
    elsewhere = dataclasses.replace(inside, scenario={"dataset": "other"})
    found = budgets([inside, ended, elsewhere], TuningPlan(trials=3))
    assert found[inside.id].trials == found[ended.id].trials == 4
    assert found[elsewhere.id].trials == 3
    ((study_id, edge),) = found[inside.id].because
    assert (study_id, edge.name) == (ended.id, "local_lr")


def test_a_board_marks_a_value_at_the_end_of_what_was_tried(
    searched: tuple[list[RunRequest], Path, list[Study]], tmp_path: Path
) -> None:
    requests = [r for r in searched[0] if r.algorithm == "local"]
    short = dataclasses.replace(PLAN, extend=False, seeds=(1,))
    (found,) = tune_all(requests, tmp_path, short)
    (edge,) = edges(found)
    for request in tuned(requests, short, tmp_path):
        execute(plan(request), Store(tmp_path))
    (board,) = with_tuning(boards(Store(tmp_path).runs()), studies_of(tmp_path))
    assert f"‡ local: {edge}." in board.notes
    shared = next(note for note in board.notes if "which this board has too" in note)
    assert "seed 1," in shared
    for form in ("text", "markdown", "latex", "csv"):
        text = " ".join(render(board, form).split())  # type: ignore[arg-type]
        assert {"latex": r"$\ddagger$", "csv": str(edge)}.get(form, "‡") in text
    assert "smallest or the largest that was tried" in " ".join(render(board, "text").split())
    (record,) = (r for r in board.records() if r["algorithm"] == "local")
    assert record["tuned_ends"] == str(edge)
    apart = dataclasses.replace(found, seeds=(100,))
    (other,) = with_tuning(boards(Store(tmp_path).runs()), [apart])
    assert not any("which this board has too" in note for note in other.notes)
