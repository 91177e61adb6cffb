"""Running a cell from Python: its result, its tables, and when it is run again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from faulty_plugins import Listener
from small_federations import arrays_of

import pflbench
from pflbench import Federation, MetricSpec, ObserverSpec
from pflbench.errors import InputError, UnknownNameError
from pflbench.results import Store
from pflbench.runs import Observer, Progress, RunInfo
from pflbench.runs.observer import Evaluation

SHORT: dict[str, Any] = {"rounds": 4, "eval_every": 3, "local_epochs": 1, "batch_size": 8}
TIMINGS = ["client_seconds", "server_seconds", "evaluate_seconds", "peak_memory_bytes"]
METHODS = ["local", "local-plus", "fedavg", "fedavg-ft", "fedprox", "fedora", "pfedhn", "pfedhn-pc"]


def assert_same_tables(a: pflbench.Result, b: pflbench.Result) -> None:
    pd.testing.assert_frame_equal(a.metrics, b.metrics, check_exact=True)
    pd.testing.assert_frame_equal(a.messages, b.messages, check_exact=True)
    pd.testing.assert_frame_equal(a.partition, b.partition, check_exact=True)
    pd.testing.assert_frame_equal(
        a.rounds.drop(columns=TIMINGS), b.rounds.drop(columns=TIMINGS), check_exact=True
    )


@pytest.mark.mostly_slow("fedora", "local]")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_real_digits(method: str, digits: str) -> None:
    result = pflbench.run(
        method,
        digits,
        clients=4,
        partition="pathological(classes_per_client=2)",
        lr=0.05,
        local_epochs=2,
        batch_size=16,
        rounds=12,
        eval_every=4,
    )
    # A client has two of ten classes; one model for all of them has more to tell apart.
    least = 0.5 if method in ("fedavg", "fedprox") else 0.8
    assert result.summary["test_accuracy"] > least
    metrics = result.metrics
    assert metrics["round"].unique().tolist() == [4, 8, 12]
    assert metrics.groupby(["round", "split"]).client.nunique().eq(4).all()
    chosen = metrics[(metrics["round"] == result.summary["selected_round"])]
    means = chosen.groupby("split").accuracy.mean()
    assert result.summary["test_accuracy"] == pytest.approx(means["test"])
    assert result.summary["val_accuracy"] == pytest.approx(means["val"])


def test_the_tables_of_a_run(federation: Federation) -> None:
    result = pflbench.run("fedavg", federation, participation=0.6, **SHORT)
    assert result.metrics["round"].unique().tolist() == [3, 4]  # every third, and the last
    rounds = result.rounds
    assert rounds["round"].tolist() == [1, 2, 3, 4]
    assert (rounds.cohort == 3).all()
    assert rounds.train_loss.between(0.01, 5).all()
    assert (rounds.adapt_steps == 0).all()
    sizes = dict(enumerate(federation.train.sizes.tolist()))
    assert result.summary["local_steps"] == rounds.steps.sum()
    assert rounds.steps.between(3, sum(-(-n // 8) for n in sizes.values())).all()
    messages = result.messages
    assert messages[messages["round"] == -1].kind.tolist() == ["samples"]
    per_round = messages[messages["round"] > 0].groupby(["round", "direction"])["bytes"].sum()
    assert per_round.xs("down", level=1).tolist() == rounds.bytes_down.tolist()
    assert per_round.xs("up", level=1).tolist() == rounds.bytes_up.tolist()
    assert result.summary["bytes_up"] == messages.query("direction == 'up'")["bytes"].sum()
    assert result.summary["bytes_down"] == rounds.bytes_down.sum()
    assert result.partition.samples.sum() == sum(
        len(federation.split(s).y)  # type: ignore[arg-type]
        for s in ("train", "val", "test")
    )
    assert result.summary["clients"] == 5
    assert result.summary["parameters"] == 6 * 128 + 128 + 128 * 129 + 129 * 3
    test = result.metrics.query("split == 'test'").groupby("round").accuracy.mean()
    assert result.summary["test_accuracy_last"] == pytest.approx(test[4])
    assert result.summary["test_accuracy_best"] == pytest.approx(test.max())


def test_fine_tuning_steps_are_counted(federation: Federation) -> None:
    result = pflbench.run("fedavg-ft", federation, parameters={"epochs": 2}, **SHORT)
    expected = sum(2 * -(-n // 8) for n in federation.train.sizes.tolist())
    assert result.rounds.adapt_steps.tolist() == [0, 0, expected, expected]
    assert result.summary["adapt_steps"] == 2 * expected


def test_stored_and_in_memory_are_the_same(federation: Federation, results: Path) -> None:
    memory = pflbench.run("fedora", federation, **SHORT)
    stored = pflbench.run("fedora", federation, results=str(results), **SHORT)
    assert memory.folder is None
    assert stored.folder == results / "runs" / stored.run_id
    assert memory.run_id == stored.run_id
    assert memory.cell == stored.cell
    assert_same_tables(memory, stored)
    differing = {k for k, v in memory.summary.items() if stored.summary[k] != v}
    assert differing <= {"seconds"}
    assert memory.clients.equals(stored.clients)
    assert not (stored.folder / "checkpoint").exists()
    names = {path.name for path in stored.folder.iterdir()}
    kept = ("metrics", "rounds", "messages", "partition", "clients", "relatedness", "participation")
    tables = {f"{name}.parquet" for name in kept}
    assert names == tables | {"run.json", "environment.json", "summary.json"}
    where = json.loads((stored.folder / "environment.json").read_text())
    assert where["device"] in ("cpu", "cuda")
    assert where["engine"] == "stacked"


@pytest.mark.mostly_slow("fedora")
@pytest.mark.parametrize("method", METHODS)
def test_engines_give_the_same_run(method: str, federation: Federation) -> None:
    a, b = (
        pflbench.run(method, federation, engine=e, participation=0.6, device="cpu", **SHORT)
        for e in ("stacked", "sequential")
    )
    assert a.run_id == b.run_id
    pd.testing.assert_frame_equal(a.metrics, b.metrics, rtol=1e-3, atol=1e-4)


def test_missing_returns_what_is_there_and_always_runs_again(
    federation: Federation, results: Path
) -> None:
    class Heard(Observer):
        def __init__(self) -> None:
            self.words: list[str] = []

        def started(self, info: RunInfo) -> None:
            self.words.append("started")

        def finished(self, result: Any) -> None:
            self.words.append("finished")

        def reused(self, result: Any) -> None:
            self.words.append("reused")

    def again(rerun: str) -> tuple[pflbench.Result, list[str]]:
        heard = Heard()
        result = pflbench.run(
            "fedavg", federation, results=results, observers=[heard], rerun=rerun, **SHORT
        )
        return result, heard.words

    first, words = again("missing")
    assert words == ["started", "finished"]
    stamp = (first.folder / "summary.json").stat().st_mtime_ns  # type: ignore[operator]
    second, words = again("missing")
    assert words == ["reused"]
    assert second.summary == first.summary
    assert (first.folder / "summary.json").stat().st_mtime_ns == stamp  # type: ignore[operator]
    before = first.metrics, first.messages, first.rounds
    third, words = again("always")
    assert words == ["started", "finished"]
    assert (first.folder / "summary.json").stat().st_mtime_ns != stamp  # type: ignore[operator]
    pd.testing.assert_frame_equal(third.metrics, before[0], check_exact=True)
    assert len(Store(results).runs()) == 1


def test_observers_hear_of_every_round(federation: Federation) -> None:
    class Heard(Observer):
        def __init__(self) -> None:
            self.infos: list[RunInfo] = []
            self.progress: list[Progress] = []

        def started(self, info: RunInfo) -> None:
            self.infos.append(info)

        def round_done(self, progress: Progress) -> None:
            self.progress.append(progress)

    heard = Heard()
    result = pflbench.run("fedavg", federation, observers=[heard], seed=3, **SHORT)
    (info,) = heard.infos
    assert (info.run_id, info.algorithm, info.clients) == (result.run_id, "fedavg", 5)
    assert (info.rounds, info.seed, info.start_round, info.folder) == (4, 3, 0, None)
    assert [p.round for p in heard.progress] == [1, 2, 3, 4]
    assert [p.evaluation is not None for p in heard.progress] == [False, False, True, True]
    last = heard.progress[-1]
    assert last.bytes_up == result.summary["bytes_up"]
    assert last.bytes_down == result.summary["bytes_down"]
    assert last.seconds_left == 0
    assert last.evaluation is not None
    last_val = result.metrics.query("split == 'val' and round == 4").accuracy
    assert last.evaluation.val_mean == pytest.approx(last_val.mean())
    assert last.evaluation.val_worst_decile == pytest.approx(last_val.min())


def test_observers_hear_no_test_number_before_the_end(federation: Federation) -> None:
    told = {field.name for field in fields(Progress)} | {field.name for field in fields(Evaluation)}
    assert not [name for name in told if "test" in name]


def test_plugins_bring_metrics_and_observers(
    plugin: Callable[..., None], federation: Federation
) -> None:
    Listener.heard.clear()
    plugin(
        metrics=[MetricSpec("entropy", "of the prediction", "faulty_plugins:entropy")],
        observers=[ObserverSpec("listener", "listens", "faulty_plugins:Listener")],
    )
    result = pflbench.run("fedavg", federation, **SHORT)
    assert result.metrics.entropy.between(0, np.log(3) + 1e-6).all()
    rounds = [f"round {r}" for r in (1, 2, 3, 4)]
    assert Listener.heard == ["started at 0", *rounds, "finished"]


def test_an_observer_that_is_none_is_refused(
    plugin: Callable[..., None], federation: Federation, results: Path
) -> None:
    plugin(observers=[ObserverSpec("no-observer", "is none", "builtins:dict")])
    with pytest.raises(InputError, match="no-observer"):
        pflbench.run("fedavg", federation, results=results, **SHORT)
    assert not results.exists()


def test_no_global_random_state_is_touched(federation: Federation) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), str(np.random.get_state())
    pflbench.run("pfedhn", federation, **SHORT)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]


def test_a_federation_of_torch_tensors(federation: Federation) -> None:
    clients = [{k: torch.from_numpy(v) for k, v in c.items()} for c in arrays_of()]
    same = Federation.from_arrays(clients, 3)
    assert same.fingerprint == federation.fingerprint
    a, b = (pflbench.run("fedavg", f, **SHORT) for f in (federation, same))
    assert a.run_id == b.run_id
    assert_same_tables(a, b)


def test_options_are_checked_by_name(federation: Federation) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'local_epochs'"):
        pflbench.run("fedavg", federation, local_epoch=2)


def test_parameters_stand_in_an_expression_as_on_the_command_line(federation: Federation) -> None:
    one = pflbench.run("fedprox(mu=.1)", federation, **SHORT)
    other = pflbench.run("fedprox", federation, parameters={"mu": 0.1}, **SHORT)
    assert one.run_id == other.run_id
    with pytest.raises(InputError, match=r"fedprox\.mu is given both in 'fedprox\(mu=0\.1\)' and"):
        pflbench.run("fedprox(mu=0.1)", federation, parameters={"mu": 0.1}, **SHORT)
    with pytest.raises(UnknownNameError, match=r"no parameter of fedprox 'mo'\. Did you mean 'mu'"):
        pflbench.run("fedprox(mo=0.1)", federation, **SHORT)
    with pytest.raises(UnknownNameError, match="Did you mean 'fedprox'"):
        pflbench.run("fedporx(mu=0.1)", federation, **SHORT)
    with pytest.raises(InputError, match="is not an algorithm"):
        pflbench.run("fedprox(mu=0.1", federation, **SHORT)


@pytest.mark.slow
def test_the_package_door_in_a_fresh_process(tmp_path: Path) -> None:
    """`import pflbench` alone, then a run, with the folder of the data as text."""
    code = (
        "import sys, pflbench\n"
        "assert 'torch' not in sys.modules\n"
        "from pflbench import Federation\n"
        "import numpy as np\n"
        "c = {f'{s}_{k}': np.eye(3, dtype='float32') if k == 'x' else np.arange(3)\n"
        "     for s in ('train', 'val', 'test') for k in 'xy'}\n"
        "r = pflbench.run('local', Federation.from_arrays([c, c]), rounds=2, results='out')\n"
        "print(r.run_id, len(r.metrics))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    run_id, rows = done.stdout.split()
    assert (tmp_path / "out" / "runs" / run_id / "summary.json").exists()
    assert rows == "4"
