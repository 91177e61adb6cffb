"""Processes that meet at one run: one runs it, and whoever comes later finds it there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pflbench
from pflbench import Federation
from pflbench.results import RunBusyError, Store, StoredRun
from pflbench.runs import Observer, Result, RunInfo

OPTIONS: dict[str, Any] = {"rounds": 2}


class Told(Observer):
    """Remembers what it heard of a run."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def started(self, info: RunInfo) -> None:
        self.heard.append("started")

    def reused(self, result: Result) -> None:
        self.heard.append("reused")


class Meanwhile(Observer):
    """Does something in the middle of a run, and remembers what came of it."""

    def __init__(self, do: Callable[[], object]) -> None:
        self.do, self.came = do, list[object]()

    def round_done(self, progress: Any) -> None:
        try:
            self.came.append(self.do())
        except Exception as error:
            self.came.append(error)


@pytest.mark.parametrize("rerun", ["missing", "always"])
def test_a_run_that_is_being_run_is_left_alone(
    rerun: str, federation: Federation, results: Path
) -> None:
    meanwhile = Meanwhile(
        lambda: pflbench.run("fedavg", federation, results=results, rerun=rerun, **OPTIONS)
    )
    done = pflbench.run("fedavg", federation, results=results, observers=[meanwhile], **OPTIONS)
    me = f"process {os.getpid()} on "
    for error in meanwhile.came:
        assert isinstance(error, RunBusyError)
        assert error.holder.startswith(me)
        assert f"Run {done.run_id} is being run by {me}" in str(error)
    assert len(meanwhile.came) == 2


def test_it_is_known_who_runs_a_run(federation: Federation, results: Path) -> None:
    def holders() -> list[str | None]:
        store = Store(results)
        return [store.held(run.id) for run in store.runs()]

    meanwhile = Meanwhile(holders)
    pflbench.run("fedavg", federation, results=results, observers=[meanwhile], **OPTIONS)
    for came in meanwhile.came:
        assert isinstance(came, list)
        assert [str(who).split(" on ")[0] for who in came] == [f"process {os.getpid()}"]
    assert holders() == [None]


@pytest.fixture
def after_a_look(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen once, just after a process has looked for a run."""

    def install(happen: Callable[[], object]) -> None:
        look, left = Store.get, [happen]

        def get(store: Store, run_id: str) -> StoredRun | None:
            seen = look(store, run_id)
            if left:
                left.pop()()
            return seen

        monkeypatch.setattr(Store, "get", get)

    return install


def interrupted(federation: Federation, results: Path) -> None:
    class Stops(Observer):
        def round_done(self, progress: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pflbench.run("fedavg", federation, results=results, observers=[Stops()], **OPTIONS)


@pytest.mark.parametrize("before", ["missing", "unfinished"])
@pytest.mark.parametrize("rerun", ["missing", "always"])
def test_a_run_that_another_process_completes_is_reused(
    before: str,
    rerun: str,
    federation: Federation,
    results: Path,
    after_a_look: Callable[[Callable[[], object]], None],
) -> None:
    if before == "unfinished":
        interrupted(federation, results)
    other, told = Told(), Told()
    after_a_look(
        lambda: pflbench.run(
            "fedavg", federation, results=results, rerun=rerun, observers=[other], **OPTIONS
        )
    )
    result = pflbench.run("fedavg", federation, results=results, observers=[told], **OPTIONS)
    assert (other.heard, told.heard) == (["started"], ["reused"])
    (run,) = Store(results).runs()
    assert result.summary == run.summary


@pytest.mark.parametrize("status", ["complete", "unfinished"])
def test_a_run_that_is_removed_after_a_look_is_run(
    status: str,
    federation: Federation,
    results: Path,
    after_a_look: Callable[[Callable[[], object]], None],
) -> None:
    if status == "complete":
        pflbench.run("fedavg", federation, results=results, rerun="always", **OPTIONS)
    else:
        interrupted(federation, results)
    (there,) = Store(results).runs()
    after_a_look(lambda: Store(results).reset(there.id))
    told = Told()
    again = {"rerun": "always"} if status == "complete" else {}
    pflbench.run("fedavg", federation, results=results, observers=[told], **again, **OPTIONS)
    assert told.heard == ["started"]
    assert [run.status for run in Store(results).runs()] == ["complete"]


def test_a_run_removed_while_it_is_read_is_not_there(
    federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pflbench.run("fedavg", federation, results=results, **OPTIONS)
    (there,) = Store(results).runs()
    from pflbench.results import store as module

    read = module.load

    def load(folder: Path) -> StoredRun:
        Store(results).reset(there.id)
        return read(folder)

    monkeypatch.setattr(module, "load", load)
    assert Store(results).get(there.id) is None


def test_what_a_process_killed_at_the_very_end_left_is_removed(
    federation: Federation, results: Path
) -> None:
    """It had written its summary, and was removing its checkpoint."""
    pflbench.run("fedavg", federation, results=results, **OPTIONS)
    (there,) = Store(results).runs()
    (there.folder / "checkpoint" / "000000001").mkdir(parents=True)
    (there.folder / "checkpoint" / "000000001" / "counters.json").write_text("{}")
    told = Told()
    pflbench.run("fedavg", federation, results=results, observers=[told], **OPTIONS)
    assert told.heard == ["reused"]
    assert not (there.folder / "checkpoint").exists()
