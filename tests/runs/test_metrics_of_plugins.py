"""A user's metric is on boards, in CSV, in the report and in `show run`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import t as student
from scipy.stats import ttest_rel
from torch import Tensor

import pflbench
from pflbench import Federation, MetricSpec
from pflbench.cli.main import main
from pflbench.results import Store, StoredRun

SEEDS = (0, 1, 2)
SHORT = {"rounds": 2, "eval_every": 1, "local_steps": 1}


def entropy(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    p = logits.softmax(dim=-1)
    return (-(p * p.log()).sum(dim=-1) * mask).sum() / mask.sum()


def undefined(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Is no number for a client whose first sample is not of class 0."""
    first = (y[0] == 0).float()
    return first / first


@pytest.fixture
def stored(
    plugin: Callable[..., None], federation: Federation, results: Path
) -> dict[tuple[str, int], StoredRun]:
    """Runs with two metrics, and a baseline of before they were installed."""
    for seed in SEEDS:
        pflbench.run("local", federation, results=results, seed=seed, **SHORT)
    plugin(
        metrics=[
            MetricSpec("entropy", "Mean entropy.", f"{__name__}:entropy", higher_is_better=False),
            MetricSpec("seeds", "Perhaps no number.", f"{__name__}:undefined"),
        ]
    )
    for seed in SEEDS:
        pflbench.run("fedavg", federation, results=results, seed=seed, **SHORT)
    return {(r.cell["algorithm"]["name"], r.cell["seed"]): r for r in Store(results).runs()}


def called(*arguments: object) -> str:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_a_users_metric_is_wherever_accuracy_is(
    stored: dict[tuple[str, int], StoredRun], results: Path, tmp_path: Path
) -> None:
    means = []
    for seed in SEEDS:
        run = stored["fedavg", seed]
        table, chosen = run.table("metrics"), run.summary["selected_round"]
        means.append(table[(table["split"] == "test") & (table["round"] == chosen)].entropy.mean())
    mean, std = np.mean(means), np.std(means, ddof=1)
    half = student.ppf(0.975, len(means) - 1) * std / np.sqrt(len(means))

    (board,) = pflbench.leaderboard(results)
    by_name = {row.algorithm: row for row in board.rows}
    found = by_name["fedavg"].metrics["entropy"]
    assert (found.mean, found.std) == pytest.approx((mean, std))
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))
    assert "seeds" not in by_name["fedavg"].metrics, "a mean over the clients that have one"
    assert by_name["local"].metrics == {}

    rows = csv.DictReader(
        io.StringIO(called("leaderboard", "--format", "csv", "--results", results))
    )
    row = {row["method"]: row for row in rows}
    names = ("metric_entropy", "metric_entropy_std", "metric_entropy_low", "metric_entropy_high")
    assert [float(row["fedavg"][name]) for name in names] == pytest.approx(
        [mean, std, mean - half, mean + half]
    )
    assert {row["local"][name] for name in names} == {""}

    entry = f"{mean:.4g} ± {std:.4g}"
    for form in ("text", "markdown", "latex"):
        shown = called("leaderboard", "--format", form, "--results", results)
        assert entry in shown.replace(r"$\pm$", "±")
        assert f"{mean - half:.4g} … {mean + half:.4g}" in shown.replace(r"\ldots{}", "…")
        assert "Mean entropy; lower is better" in " ".join(shown.split())
    called("report", "--results", results, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert entry in page
    assert "Mean entropy; lower is better" in page

    shown = called("show", "run", stored["fedavg", 0].id, "--results", results)
    assert "Metrics of plugins" in shown
    assert f"{means[0]:.4g}" in shown
    assert "Metrics of" not in called("show", "run", stored["local", 0].id, "--results", results)


def test_a_board_without_metrics_of_plugins_says_nothing_of_them(
    federation: Federation, results: Path
) -> None:
    pflbench.run("local", federation, results=results, **SHORT)
    (board,) = pflbench.leaderboard(results)
    assert not [name for name in board.records()[0] if name.startswith("metric_")]
    assert "etric" not in called("leaderboard", "--results", results).replace("metrics.parquet", "")


def test_a_metric_whose_plugin_is_gone_keeps_its_numbers(
    plugin: Callable[..., None], federation: Federation, results: Path
) -> None:
    plugin(metrics=[MetricSpec("gone", "Mean entropy", f"{__name__}:entropy")])
    pflbench.run("local", federation, results=results, **SHORT)
    plugin()
    shown = " ".join(called("leaderboard", "--results", results).split())
    assert "gone: a metric of a plugin that is not installed here." in shown


@pytest.mark.mostly_slow("False")
@pytest.mark.parametrize("higher", [False, True])
def test_a_board_is_ranked_by_a_metric_in_its_direction(
    plugin: Callable[..., None], federation: Federation, results: Path, higher: bool
) -> None:
    entropies = MetricSpec("entropy", "Mean entropy", f"{__name__}:entropy", higher)
    plugin(metrics=[entropies])
    means: dict[str, list[float]] = {"local": [], "fedavg": []}
    for method, found in means.items():
        for seed in range(5):
            result = pflbench.run(method, federation, results=results, seed=seed, **SHORT)
            table = result.metrics
            chosen = table["round"] == result.summary["selected_round"]
            found.append(float(table[(table["split"] == "test") & chosen].entropy.mean()))
    first, second = sorted(means, key=lambda name: np.mean(means[name]), reverse=higher)
    test = ttest_rel(means[second], means[first])

    (board,) = pflbench.leaderboard(results, score="entropy")
    assert [row.label for row in board.rows[:2]] == [first, second]
    shown = test.pvalue < 0.05
    assert [row.rank for row in board.rows[:2]] == ([1, 2] if shown else [1, 1])
    (plain,) = pflbench.leaderboard(results)
    assert plain.score is None
    assert {r.label: r.measures for r in plain.rows} == {r.label: r.measures for r in board.rows}
    record = board.records()[1]
    assert (record["score"], record["method"]) == ("entropy", second)
    assert "score" not in plain.records()[0]

    output = called("leaderboard", "--score", "entropy", "--results", results)
    assert f"in the order of entropy ({'higher' if higher else 'lower'} is better)" in " ".join(
        output.split()
    )
    output = called("leaderboard", "--score", "entropy", "--columns", "tests", "--results", results)
    difference = np.mean(means[second]) - np.mean(means[first])
    assert f"{difference:+.4g} [".replace("-", "−") in output
    expected = "< 0.001" if test.pvalue < 0.001 else f"{test.pvalue:.3f}"
    assert expected in output
    assert ("worse" if shown else "not told apart") in output


def test_a_row_without_the_score_has_no_rank(
    stored: dict[tuple[str, int], StoredRun], results: Path
) -> None:
    (board,) = pflbench.leaderboard(results, score="entropy")
    assert [row.label for row in board.rows[:2]] == ["fedavg", "local"]
    assert "No rank by entropy: local. A run or a client has no number." in board.notes
    (board,) = pflbench.leaderboard(results, score="seeds")
    assert "No rank by seeds: fedavg, local. A run or a client has no number." in board.notes
    done = CliRunner().invoke(main, ["leaderboard", "--score", "entrpy", "--results", str(results)])
    assert done.exit_code == 2
    assert "There is no score 'entrpy'. Did you mean 'entropy'?" in done.stderr
