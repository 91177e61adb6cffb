"""Killed runs go on where they were, and end with the numbers of uninterrupted ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pflbench
from pflbench import Federation
from pflbench.results import Store, StoredRun
from pflbench.runs import Observer, RunInfo, execution

TIMINGS = ["client_seconds", "server_seconds", "evaluate_seconds", "peak_memory_bytes"]
TABLES = {"metrics", "rounds", "messages", "partition", "participation", "clients"}
METHODS = ("fedora", "pfedhn", "pfedhn-pc", "fedavg-ft")


def tables_of(run: StoredRun) -> list[str]:
    return sorted(path.stem for path in run.folder.glob("*.parquet"))


def assert_equal_runs(a: StoredRun, b: StoredRun) -> None:
    assert (a.id, a.status, b.status) == (b.id, "complete", "complete")
    assert set(tables_of(a)) == set(tables_of(b)) >= TABLES
    for name in tables_of(a):
        one, other = a.table(name), b.table(name)
        drop = TIMINGS if name == "rounds" else []
        pd.testing.assert_frame_equal(
            one.drop(columns=drop), other.drop(columns=drop), check_exact=True
        )
    assert {k: v for k, v in a.summary.items() if k != "seconds"} == {
        k: v for k, v in b.summary.items() if k != "seconds"
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="attempts are forks of one process")
@pytest.mark.slow
def test_runs_killed_at_random_moments(digits: str, tmp_path: Path) -> None:
    kills, methods = 20, ("fedora", "pfedhn", "fedavg-ft")
    script = Path(__file__).with_name("killed_runs.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), "1", str(kills), digits, str(tmp_path), *methods],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "damaged" not in done.stderr
    report = json.loads(done.stdout)
    assert list(report) == list(methods)
    for told in report.values():
        assert len(told["kills"]) == kills
        assert {"start", "checkpoint", "results"} == set(told["kills"])
        starts = told["starts"]
        assert starts == sorted(starts), "what was kept was lost again"
        assert len(set(starts)) > kills // 4
    whole = {run.id: run for run in Store(tmp_path / "whole").runs()}
    killed = {run.id: run for run in Store(tmp_path / "killed").runs()}
    assert len(whole) == len(methods)
    assert whole.keys() == killed.keys()
    for run_id, run in whole.items():
        assert_equal_runs(killed[run_id], run)
    left = [sorted(entries(tmp_path / results)) for results in ("whole", "killed")]
    assert left[0] == left[1], "something was left behind"


def entries(results: Path) -> list[str]:
    return [str(path.relative_to(results)) for path in results.rglob("*")]


class StopsAfter(Observer):
    """Interrupts a run as Ctrl-C would."""

    def __init__(self, rounds: int) -> None:
        self.rounds, self.starts = rounds, list[int]()

    def started(self, info: RunInfo) -> None:
        self.starts.append(info.start_round)

    def round_done(self, progress: Any) -> None:
        if progress.round == self.rounds:
            raise KeyboardInterrupt


@pytest.mark.mostly_slow("fedora")
@pytest.mark.parametrize("method", ["local", "fedavg", "fedprox", *METHODS])
def test_interrupted_in_every_round(
    method: str, federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"rounds": 5, "eval_every": 2, "participation": 0.4}
    pflbench.run(method, federation, results=tmp_path / "whole", **options)
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    results = tmp_path / "stopped"
    starts = []
    for rounds in (1, 2, 3, 4, 5):
        stops = StopsAfter(rounds)
        with pytest.raises(KeyboardInterrupt):
            pflbench.run(method, federation, results=results, observers=[stops], **options)
        starts += stops.starts
    # It is told of a round before that is kept: the last one is played again.
    assert starts == [0, 0, 1, 2, 3]
    pflbench.run(method, federation, results=results, **options)
    (whole,), (stopped,) = Store(tmp_path / "whole").runs(), Store(results).runs()
    assert_equal_runs(stopped, whole)
    history = json.loads((stopped.folder / "environment.json").read_text())
    assert len(history["earlier"]) == 5


@pytest.mark.slow
def test_a_run_may_go_on_with_the_other_engine(
    federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    options: dict[str, Any] = {"rounds": 6, "eval_every": 2, "results": results}
    with pytest.raises(KeyboardInterrupt):
        pflbench.run("fedora", federation, engine="stacked", observers=[StopsAfter(4)], **options)
    mixed = pflbench.run("fedora", federation, engine="sequential", **options)
    plain = pflbench.run("fedora", federation, rounds=6, eval_every=2)
    pd.testing.assert_frame_equal(mixed.metrics, plain.metrics, rtol=1e-3, atol=1e-4)
    pd.testing.assert_frame_equal(mixed.messages, plain.messages)


def test_seconds_add_up_over_attempts(
    federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    class Slow(StopsAfter):
        def round_done(self, progress: Any) -> None:
            time.sleep(0.05)
            super().round_done(progress)

    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt):
        pflbench.run("fedavg", federation, rounds=5, results=results, observers=[Slow(5)])
    result = pflbench.run("fedavg", federation, rounds=5, results=results)
    assert result.summary["seconds"] >= 4 * 0.05


def test_nothing_is_kept_between_checkpoints_that_are_not_due(
    federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work of some seconds is not worth a checkpoint; here of an hour: machines are busy."""
    assert 5 < execution.CHECKPOINT_SECONDS < 60
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", 3600.0)
    stops = StopsAfter(3)
    with pytest.raises(KeyboardInterrupt):
        pflbench.run("fedavg", federation, rounds=5, results=results, observers=[stops])
    (run,) = Store(results).runs()
    assert run.status == "unfinished"
    assert not (run.folder / "checkpoint").exists()
