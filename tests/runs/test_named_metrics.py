"""Built-in metrics: computed where they are named, and no part of a run's identity."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import pflbench
from pflbench import Federation
from pflbench.cli.main import main
from pflbench.errors import InputError, Notice
from pflbench.results import Store

NAMES = ["balanced-accuracy", "macro-auc", "macro-f1", "top-5-accuracy"]
SHORT = {"rounds": 2, "eval_every": 1, "local_steps": 1}


def called(*arguments: object, status: int = 0) -> str:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == status, done.output
    return " ".join(done.output.split())


@pytest.fixture
def lopsided() -> Federation:
    """Three clients, of which one has samples of one class only."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 40, 4)).astype(np.float32)
    y = np.arange(40) % 3
    labels = [y, y, np.zeros_like(y)]
    parts = [
        {"train": (a[:20], b[:20]), "val": (a[20:30], b[20:30]), "test": (a[30:], b[30:])}
        for a, b in zip(x, labels, strict=True)
    ]
    return Federation.from_arrays(parts, classes=3)


def test_a_run_has_them_only_if_it_names_them_and_keeps_its_id(federation: Federation) -> None:
    plain = pflbench.run("local", federation, **SHORT)
    assert not set(NAMES) & set(plain.metrics)
    named = pflbench.run("local", federation, metrics=NAMES, **SHORT)
    assert named.run_id == plain.run_id
    pd.testing.assert_frame_equal(named.metrics.drop(columns=NAMES), plain.metrics)
    assert named.metrics[NAMES[0]].between(0, 1).all()


def test_an_unknown_one_is_refused_with_the_nearest(federation: Federation) -> None:
    with pytest.raises(InputError, match=r"'macro-f2'.*'macro-f1'"):
        pflbench.run("local", federation, metrics=["macro-f2"], **SHORT)
    with pytest.raises(InputError, match="expected names of metrics"):
        pflbench.run("local", federation, metrics="macro-f1", **SHORT)


def test_the_command_computes_them_and_the_run_can_be_reproduced(
    digits: str, results: Path
) -> None:
    cell = ("run", "--algo", "local", "--dataset", digits, "--clients", 4, "--rounds", 1)
    called(*cell, "--results", results)
    shown = called(*cell, "--results", results, "--metrics", "macro-f1")
    assert "is complete and lacks the metric 'macro-f1'" in shown
    assert "--rerun always" in shown
    for _ in range(2):
        shown = called(
            *cell, "--results", results, "--metrics", "macro-f1,macro-auc", "--rerun", "always"
        )
        assert "lacks" not in shown
    (run,) = Store(results).runs()
    assert {"macro-f1", "macro-auc"} <= set(run.table("metrics"))
    assert str(run.labels["command"]).endswith(" --metrics macro-f1,macro-auc")
    assert pflbench.reproduce(run).agrees


def test_a_mean_leaves_out_clients_of_one_class_and_the_board_counts_them(
    lopsided: Federation, results: Path
) -> None:
    means = {}
    for method in ("local", "fedavg"):
        for seed in (0, 1):
            run = pflbench.run(
                method, lopsided, results=results, seed=seed, metrics=["macro-auc"], **SHORT
            )
            chosen = run.metrics["round"] == run.summary["selected_round"]
            found = run.metrics[chosen & (run.metrics["split"] == "test")]["macro-auc"]
            assert found.isna().tolist() == [False, False, True]
            means[method, seed] = found.mean()
    (board,) = pflbench.leaderboard(results, score="macro-auc")
    ranked = [row for row in board.rows if row.measures is not None]
    for row in ranked:
        own = [means[row.algorithm, seed] for seed in (0, 1)]
        assert row.metrics["macro-auc"].mean == pytest.approx(np.mean(own))
    assert [row.metrics["macro-auc"].mean for row in ranked] == sorted(
        (row.metrics["macro-auc"].mean for row in ranked), reverse=True
    )
    note = (
        "macro-auc is undefined for 2 of 6 clients of all seeds (a client with samples of one "
        "class only), which its mean leaves out: fedavg, local."
    )
    assert note in board.notes
    assert note in called("leaderboard", "--results", results)
    shown = called("leaderboard", "--results", results, "--format", "csv")
    assert "metric_macro-auc_without" in shown
    rows = csv.DictReader(io.StringIO(board.to_frame().to_csv()))
    assert {float(row["metric_macro-auc_without"] or 0) for row in rows} >= {2.0}
    run_id = ranked[0].run_ids[0]
    assert "(undefined for 1 of 3 clients)" in called("show", "run", run_id, "--results", results)


def test_a_notice_says_that_a_complete_run_lacks_them(
    federation: Federation, results: Path
) -> None:
    pflbench.run("local", federation, results=results, **SHORT)
    with pytest.warns(Notice, match="lacks the metric 'macro-f1'"):
        pflbench.run("local", federation, results=results, metrics=["macro-f1"], **SHORT)
