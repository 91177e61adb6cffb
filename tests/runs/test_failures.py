"""Runs that cannot go on are kept as failed, and taken up again when asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import faulty_plugins
import pytest
from faulty_plugins import Flaky

import pflbench
from pflbench import Federation
from pflbench.errors import DivergedError, Notice
from pflbench.results import Store, StoredRun
from pflbench.runs import Observer


def only_run(results: Path) -> StoredRun:
    (run,) = Store(results).runs()
    return run


class Heard(Observer):
    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


@pytest.mark.mostly_slow("fedora")
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("method", ["fedavg", "fedora", "local"])
def test_a_run_that_diverges_is_kept_as_failed(
    method: str, engine: str, federation: Federation, results: Path
) -> None:
    heard = Heard()

    def attempt() -> DivergedError:
        with pytest.raises(DivergedError, match=r"client \d became NaN or infinite") as error:
            pflbench.run(
                method,
                federation,
                lr=1e4,
                momentum=0.99,
                rounds=40,
                eval_every=1,
                results=results,
                engine=engine,
                observers=[heard],
            )
        return error.value

    error = attempt()
    run = only_run(results)
    assert run.status == "failed"
    assert not run.summary
    failure = json.loads((run.folder / "failure.json").read_text())
    assert failure["error"] == "DivergedError"
    assert (failure["round"], failure["client"]) == (error.round, error.client)
    assert failure["step"] == error.step
    assert failure["message"] == str(error)
    assert len(run.table("rounds")) in (error.round - 1, error.round)
    assert heard.errors == [error]
    again = attempt()  # a failure is no result: the run is tried again
    assert (again.round, again.client, again.step) == (error.round, error.client, error.step)
    assert only_run(results).status == "failed"
    assert len(heard.errors) == 2


def test_a_model_ruined_by_the_last_step_of_a_run_fails_it(
    federation: Federation, results: Path
) -> None:
    with pytest.raises(DivergedError) as error:
        pflbench.run("local", federation, rounds=1, local_steps=1, lr=1e38, results=results)
    assert error.value.round == 1
    assert only_run(results).status == "failed"


def test_in_memory_it_is_raised_too(federation: Federation) -> None:
    with pytest.raises(DivergedError):
        pflbench.run("fedavg", federation, lr=1e30, rounds=5)


def test_a_bug_in_a_plugin_is_kept_and_its_cure_completes_the_run(
    algorithm: Callable[..., str],
    federation: Federation,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = algorithm("faulty_plugins:Flaky")
    options = {"rounds": 3, "results": results}
    with pytest.raises(ZeroDivisionError):
        pflbench.run(name, federation, **options)  # type: ignore[arg-type]
    run = only_run(results)
    assert run.status == "failed"
    assert run.failure is not None
    assert run.failure["error"] == "ZeroDivisionError"
    assert run.failure["message"] == "a bug in a plugin"
    assert run.failure["round"] == 1
    monkeypatch.setattr(Flaky, "broken", False)
    result = pflbench.run(name, federation, **options)  # type: ignore[arg-type]
    assert only_run(results).status == "complete"
    assert not (run.folder / "failure.json").exists()
    plain = pflbench.run(name, federation, rounds=3)
    assert result.metrics.equals(plain.metrics)


def test_a_method_that_cannot_be_made_is_kept_as_failed(
    algorithm: Callable[..., str], federation: Federation, results: Path
) -> None:
    name = algorithm("faulty_plugins:BrokenConstructor")
    with pytest.raises(LookupError):
        pflbench.run(name, federation, rounds=3, results=results)
    run = only_run(results)
    assert run.failure is not None
    assert run.failure["error"] == "LookupError"


@pytest.mark.parametrize("error", [RuntimeError, SystemExit], ids=["raises", "exits"])
@pytest.mark.parametrize("event", ["started", "round_done", "finished", "reused"])
def test_an_observer_that_fails_is_passed_over(
    event: str, error: type[BaseException], federation: Federation, results: Path
) -> None:
    def fail(what: object) -> None:
        raise error("x" * 200_000)

    if event == "reused":
        pflbench.run("fedavg", federation, rounds=2, results=results)
    faulty = Observer()
    setattr(faulty, event, fail)
    with pytest.warns(Notice, match=f"Observer failed at '{event}'") as told:
        pflbench.run("fedavg", federation, rounds=2, results=results, observers=[faulty])
    assert only_run(results).status == "complete"
    assert len(str(told[0].message)) < 2500


def test_a_long_reason_is_kept_in_short(
    algorithm: Callable[..., str],
    federation: Federation,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wordy(self: object, *_: object) -> None:
        raise LookupError("x" * 200_000)

    monkeypatch.setattr(faulty_plugins.BrokenConstructor, "__init__", wordy)
    name = algorithm("faulty_plugins:BrokenConstructor")
    with pytest.raises(LookupError):
        pflbench.run(name, federation, rounds=3, results=results)
    failure = only_run(results).failure
    assert failure is not None
    assert len(failure["message"]) < 2500


def test_an_interrupted_run_is_unfinished_not_failed(federation: Federation, results: Path) -> None:
    class Impatient(Observer):
        def round_done(self, progress: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pflbench.run("fedavg", federation, rounds=3, results=results, observers=[Impatient()])
    assert only_run(results).status == "unfinished"
    assert pflbench.run("fedavg", federation, rounds=3, results=results).summary["rounds"] == 3


def test_a_run_whose_summary_lost_its_numbers_is_done_again(
    federation: Federation, results: Path
) -> None:
    def again() -> pflbench.runs.Result:
        return pflbench.run("fedavg", federation, rounds=1, results=results)

    first = again()
    assert first.folder is not None
    (first.folder / "summary.json").write_text("{}")
    damage = only_run(results).damage
    assert damage is not None
    assert "summary.json is damaged: it lacks 'selected_round'" in str(damage)
    assert again().summary["test_accuracy"] == first.summary["test_accuracy"]
    assert only_run(results).status == "complete"
