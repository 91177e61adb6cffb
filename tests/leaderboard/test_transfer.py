"""Negative transfer against numbers worked out by hand, on boards and run by run."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from stored_runs import MakeRun, metrics, scenario

from pflbench.analysis import Board, boards, transfer
from pflbench.cli.main import main
from pflbench.errors import InputError, UnknownNameError
from pflbench.report.tables.render import render
from pflbench.results import Store, StoredRun
from pflbench.schema.scenario import Cell, Choice, Scenario

SAMPLES = (100, 100, 50, 20)
# Chosen on validation is round 20 for the method and round 10 for local.
METHOD = {10: ([1] * 4, [99, 99, 49, 19]), 20: ([2] * 4, [80, 70, 20, 10])}
LOCAL = {10: ([3] * 4, [60, 73, 30, 10]), 20: ([2] * 4, [1, 1, 1, 1])}
# Gains: 0.80 - 0.60, 0.70 - 0.73, 0.40 - 0.60, 0.50 - 0.50.
GAINS = [0.20, -0.03, -0.20, 0.0]
GROUPS = [0, 0, 1, 1]
UNLIKE = scenario(population=Choice("groups", {"minority": 0.5, "change": "labels"}))


def store_run(
    store: Store,
    algorithm: str,
    seed: int = 0,
    of: Scenario = UNLIKE,
    *,
    groups: list[int] | None = None,
    correct: dict[int, tuple[list[int], list[int]]] | None = None,
    version: str = "1",
    summary: dict[str, object] | None = None,
) -> StoredRun:
    cell = Cell(of, Choice(algorithm, {}, version), seed)
    clients = pd.DataFrame(
        {
            "client": range(4),
            "group": groups or GROUPS,
            "train": [10, 20, 30, 40],
            "val": SAMPLES,
            "test": SAMPLES,
            "distance": [0.1, 0.2, 0.3, 0.4],
            "coordinate_distance": [math.nan] * 4,
        }
    )
    given = correct or (LOCAL if algorithm == "local" else METHOD)
    tables = {"metrics": metrics(given, SAMPLES), "clients": clients}
    with store.open(cell.to_json(), {"dataset": "mnist"}, {}) as writer:
        return writer.complete(tables, summary or {})


def board_of(store: Store) -> Board:
    (board,) = boards(store.runs(), lambda name: {})
    return board


def show(run: str, store: Store, *more: str) -> str:
    arguments = ["show", "transfer", run, "--results", str(store.root), *more]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_one_run_by_hand(store: Store) -> None:
    run, local = store_run(store, "fedavg"), store_run(store, "local")
    found = transfer(run, store.runs())
    assert (found.run.id, found.partner.id) == (run.id, local.id)
    clients = found.clients
    assert clients["gain"].tolist() == pytest.approx(GAINS)
    # sqrt((p(1-p) + q(1-q)) / n)
    errors = [
        math.sqrt((0.16 + 0.24) / 100),
        math.sqrt((0.21 + 0.1971) / 100),
        math.sqrt((0.24 + 0.24) / 50),
        math.sqrt((0.25 + 0.25) / 20),
    ]
    assert clients["error"].tolist() == pytest.approx(errors)
    assert clients["hurt"].tolist() == [False, True, True, False]
    assert clients["hurt_beyond_error"].tolist() == [False, False, True, False]
    assert clients["train"].tolist() == [10, 20, 30, 40]
    whole = found.whole
    assert whole.clients == 4
    assert (whole.gain, whole.hurt, whole.hurt_beyond_error) == pytest.approx((-0.0075, 0.5, 0.25))
    assert (whole.loss_of_hurt, whole.worst_gain) == pytest.approx((0.115, -0.20))
    majority, minority = found.groups[0], found.groups[1]
    assert (majority.clients, majority.gain, majority.hurt) == pytest.approx((2, 0.085, 0.5))
    assert (majority.accuracy, majority.baseline) == pytest.approx((0.75, 0.665))
    assert (minority.gain, minority.hurt_beyond_error) == pytest.approx((-0.1, 0.5))
    assert (minority.loss_of_hurt, minority.worst_gain) == pytest.approx((0.2, -0.2))


def test_the_board_says_the_same_over_seeds(store: Store) -> None:
    better = {10: ([1] * 4, [60, 73, 30, 10])}  # equal to local: nobody gains or loses
    for seed, correct in ((0, METHOD), (1, better)):
        store_run(store, "local", seed)
        groups = GROUPS if seed == 0 else [1, 0, 0, 0]
        store_run(store, "fedavg", seed, groups=groups, correct=correct)
    # The groups are the run's own, drawn by its seed: with seed 1 they are others.
    board = board_of(store)
    row = next(row for row in board.rows if row.label == "fedavg")
    assert row.measures is not None
    assert row.measures.gain == pytest.approx(-0.0075 / 2)
    assert row.measures.hurt == pytest.approx(2 / 8)
    assert row.measures.worst_gain == pytest.approx(-0.2)
    assert row.groups[0].clients == 5
    assert row.groups[1].clients == 3
    assert row.groups[0].gain == pytest.approx((0.2 - 0.03) / 5)
    assert row.groups[1].gain == pytest.approx(-0.2 / 3)
    text = render(board, columns="transfer")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    (first,) = [line for line in lines if line.startswith("fedavg 2 6")]
    assert first.endswith("] 25.0 ± 35.4 12.5 ± 17.7 11.50 −20.00")
    gained = "fedavg 2.5 2 66.60 ± 9.90 +3.40 ± 6.01"
    assert f"{gained} 20.0 ± 35.4 0.0 ± 0.0 3.00 −3.00" in lines
    gained = "fedavg 1.5 2 50.00 ± 10.61 −6.67 ± 7.07"
    assert f"{gained} 33.3 ± 35.4 33.3 ± 35.4 20.00 −20.00" in lines
    assert "local 2.5 2 63.20 ± 3.89 – – – – –" in lines
    # Seed 0: clients 0 and 1, then 2 and 3; seed 1: clients 1, 2 and 3, then client 0.
    assert row.groups[0].gain_std == pytest.approx(np.std([0.085, 0], ddof=1))
    assert row.groups[0].accuracy_std == pytest.approx(np.std([0.75, 0.61], ddof=1))
    rows = list(csv.DictReader(io.StringIO(render(board, "csv"))))
    (stored,) = [r for r in rows if r["method"] == "fedavg"]
    assert json.loads(stored["by_group"])["1"]["clients"] == 3
    assert stored["population"] == "groups(minority=0.5, change=labels)"
    assert stored["partition"] == "rotated(step=10)"
    assert float(stored["worst_gain"]) == pytest.approx(-0.2)


@pytest.mark.parametrize("columns", ["standard", "transfer"])
@pytest.mark.parametrize("form", ["text", "markdown", "latex"])
def test_a_row_without_local_says_so_and_never_0(store: Store, columns: str, form: str) -> None:
    store_run(store, "fedavg")
    board = board_of(store)
    written = render(board, form, columns=columns)  # type: ignore[arg-type]
    assert "no local run" in written
    (line,) = [part for part in written.splitlines() if "fedavg" in part and "no local run" in part]
    assert "0.0" not in line.partition("no local run")[2]
    (row,) = (row for row in board.rows if row.run_ids)
    assert row.measures is not None
    assert (row.measures.gain, row.measures.hurt, row.measures.worst_gain) == (None, None, None)
    assert row.groups == {}
    store_run(store, "local", seed=1)  # of another seed: no partner
    record = next(csv.DictReader(io.StringIO(render(board, "csv"))))
    assert record["gain"] == record["hurt"] == record["by_group"] == ""


def test_every_width_shows_every_column(store: Store) -> None:
    store_run(store, "fedavg")
    store_run(store, "local")
    board = board_of(store)
    for width in (60, 80, 120):
        text = render(board, columns="transfer", width=width)
        assert max(map(len, text.splitlines())) <= width
        for number in ("−0.75", "50.0", "25.0", "11.50", "−20.00", "+8.50", "3.00"):
            assert number in text
    with pytest.raises(UnknownNameError, match="set of columns"):
        render(board, columns="transfers")  # type: ignore[arg-type]


def test_the_command_line_shows_boards_and_runs(store: Store, tmp_path: Path) -> None:
    run, local = store_run(store, "fedavg"), store_run(store, "local")
    result = CliRunner().invoke(
        main, ["leaderboard", "--results", str(store.root), "--columns", "transfer"]
    )
    assert result.exit_code == 0, result.stderr
    assert "Negative transfer" in result.stdout
    assert "group 1" in result.stdout
    text = show(run.id[:6], store)
    assert f"fedavg (run {run.id}) against local (run {local.id})" in text
    words = [line.split() for line in text.splitlines()]
    assert ["all", "4", "60.00%", "60.75%", "−0.75", "50.0%", "25.0%", "11.50", "−20.00"] in words
    assert [
        "group",
        "1",
        "2",
        "45.00%",
        "55.00%",
        "−10.00",
        "50.0%",
        "50.0%",
        "20.00",
        "−20.00",
    ] in words
    listed = [w for w in words if len(w) >= 8 and w[0] in "0123" and w[-1] != "seed"]
    assert [w[0] for w in listed] == ["2", "1", "3", "0"], "lowest gain first"
    assert listed[0] == [
        "2",
        "1",
        "30",
        "0.300",
        "40.00%",
        "60.00%",
        "−20.00",
        "9.80",
        "hurt",
        "beyond",
        "error",
    ]
    assert listed[1][6:] == ["−3.00", "6.38", "hurt"]
    assert listed[2][6:8] == ["0.00", "15.81"]
    # Ranks of the gains are 4 2 1 3, of the sizes 1 2 3 4: 1 - 6·(9 + 0 + 4 + 1)/60.
    assert "gain and training samples: −0.40" in text


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_picture_is_saved(ending: str, store: Store, tmp_path: Path) -> None:
    run = store_run(store, "fedavg")
    store_run(store, "local")
    path = tmp_path / f"transfer.{ending}"
    show(run.id, store, "--save", str(path))
    first = path.read_bytes()
    show(run.id, store, "--save", str(path))
    assert path.read_bytes() == first, "one comparison, one file"
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert first.startswith(start)
    if ending == "svg":
        drawn = first.decode()
        for words in (
            "training samples",
            "distance of its labels",
            "group 1",
            "hurt by more",
            "2 hurt, 1 of them",
        ):
            assert f"<!-- {words}" in drawn or words in drawn


def test_what_cannot_be_compared_is_refused(store: Store, make_run: MakeRun) -> None:
    run = store_run(store, "fedavg")
    with pytest.raises(
        InputError, match=f"No local run exists to compare run {run.id} with.*seed 0"
    ):
        transfer(run, store.runs())
    store_run(store, "local", seed=1)
    store_run(store, "local", of=scenario())
    with pytest.raises(InputError, match="No local run"):
        transfer(run, store.runs())
    local = store_run(store, "local")
    with pytest.raises(InputError, match="is a 'local' run"):
        transfer(local, store.runs())
    failed = make_run("fedprox", 0, None, failure={"error": "DivergedError"}, of=UNLIKE)
    with pytest.raises(InputError, match="is failed: expected a complete run"):
        transfer(failed, store.runs())
    other = store_run(store, "pfedhn", summary={"index_hashes": {"train": "a"}})
    split = store_run(store, "local", version="2", summary={"index_hashes": {"train": "b"}})
    with pytest.raises(InputError, match="different splits"):
        transfer(other, store.runs())
    assert transfer(run, store.runs()).partner.id == split.id, "the latest version's"
    arguments = ["show", "transfer", run.id, "--results", str(store.root), "--save", "x.jpg"]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 2
    assert "'x.jpg'" in refused.stderr


def test_runs_from_before_the_table_of_clients(store: Store, make_run: MakeRun) -> None:
    """Sizes and distances follow from the partition; groups are not known."""
    run = make_run("fedora", 0, {30: ([5] * 4, [9, 8, 4, 8])})
    make_run("local", 0, {30: ([5] * 4, [5, 6, 5, 6])})
    found = transfer(run, store.runs())
    assert found.whole.hurt == 0.25
    assert found.groups == {}
    assert set(found.clients["group"].dropna()) == {-1}
    assert "−10.00" in show(run.id, store)
