"""What stored runs cost in all, and until a target was reached."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pflbench.analysis.run_costs import Record, read
from pflbench.analysis.to_target import reached
from pflbench.analysis.totals import running, totals
from pflbench.errors import InputError
from pflbench.results import ClientTable, StoredRun
from pflbench.results.measures import Floats

Runs = dict[tuple[str, int], StoredRun]
P = 14 * 14 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10  # of the small MLP


def test_bytes_by_kind_of_message(runs: Runs) -> None:
    found = {
        (kind.set_up, kind.direction, kind.kind): (kind.messages, kind.bytes)
        for kind in totals(read(runs["fedora", 0])).kinds
    }
    crossed = 6 * 5 * P * 4
    subspace = found.pop((True, "up", "subspace"))
    assert found == {(False, "down", "model"): (30, crossed), (False, "up", "model"): (30, crossed)}
    assert subspace[0] == 5
    assert totals(read(runs["local", 0])).kinds == ()
    kinds = [kind.kind for kind in totals(read(runs["fedavg", 0])).kinds]
    assert kinds == ["samples", "model", "model"]  # set-up first


@pytest.mark.parametrize("method", ["local", "fedavg-ft", "fedora", "pfedhn"])
def test_totals_are_those_of_the_summary(method: str, runs: Runs) -> None:
    run = runs[method, 1]
    spent = totals(read(run))
    for name in ("bytes_up", "bytes_down", "local_steps", "adapt_steps"):
        assert getattr(spent, name) == run.summary[name]
    rounds = run.table("rounds")
    assert spent.peak_memory_bytes == rounds["peak_memory_bytes"].max()
    assert spent.client_seconds == pytest.approx(rounds["client_seconds"].sum())
    assert spent.server_seconds == pytest.approx(rounds["server_seconds"].sum())
    assert (spent.adapt_steps > 0) == (method == "fedavg-ft")


def test_what_had_been_spent_after_each_round(runs: Runs) -> None:
    record = read(runs["fedora", 0])
    spent = running(record)
    assert spent.index.tolist() == list(range(7))
    set_up = totals(record).kinds[0].bytes
    assert spent["bytes_up"].tolist() == [set_up + r * 5 * P * 4 for r in range(7)]
    assert spent["bytes_down"].tolist() == [r * 5 * P * 4 for r in range(7)]
    assert spent["local_steps"].tolist() == [0, *np.cumsum(record.rounds["steps"])]
    assert spent.loc[6, "client_seconds"] == pytest.approx(totals(record).client_seconds)
    nothing = running(read(runs["local", 0]))
    assert not nothing[["bytes_up", "bytes_down"]].to_numpy().any()


def with_curves(record: Record, val: list[float], test: list[float]) -> Record:
    """The record with other accuracies after its evaluated rounds."""

    def curve(table: ClientTable, means: list[float]) -> ClientTable:
        accuracy: Floats = np.repeat(np.array(means)[:, None], len(table.clients), axis=1)
        return dataclasses.replace(table, accuracy=accuracy)

    return dataclasses.replace(record, val=curve(record.val, val), test=curve(record.test, test))


def test_a_target_is_judged_on_validation_and_reported_on_test(runs: Runs) -> None:
    record = with_curves(read(runs["fedora", 0]), [0.3, 0.8, 0.7], [0.9, 0.75, 0.95])
    found = reached(record, 0.75)
    assert found is not None
    assert (found.round, found.val_accuracy) == (4, pytest.approx(0.8))
    assert found.test_accuracy == pytest.approx(0.75)  # not the 0.9 of before, on test alone
    spent = running(record).loc[4]
    for name in spent.index:
        assert getattr(found, name) == spent[name]
    assert found.network_seconds is None


@pytest.mark.parametrize(("target", "round"), [(0.3, 2), (0.31, 4), (0.8, 4), (0.81, None)])
def test_reached_is_the_first_evaluated_round_or_never(
    target: float, round: int | None, runs: Runs
) -> None:
    record = with_curves(read(runs["fedavg", 0]), [0.1 + 0.2, 0.8, 0.8], [0.99, 0.99, 0.99])
    found = reached(record, target)
    assert (None if found is None else found.round) == round


def test_a_real_curve(runs: Runs) -> None:
    record = read(runs["fedora", 0])
    best = float(record.val.means().max())
    found = reached(record, best)
    assert found is not None
    assert found.round == record.selected
    assert found.test_accuracy == runs["fedora", 0].summary["test_accuracy"]
    assert reached(record, best + 0.001) is None


def test_a_run_that_is_not_complete_is_refused(runs: Runs) -> None:
    run = dataclasses.replace(runs["fedora", 0], status="failed")
    with pytest.raises(InputError, match="is failed: only a complete run can be accounted for"):
        read(run)
