"""Whom the published runs help and hurt: the board, one run, and the tables by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pflbench.analysis import boards, transfer
from pflbench.cli.main import main
from pflbench.results import Store, StoredRun

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def rotated() -> dict[tuple[str, int], StoredRun]:
    """The published runs on rotated MNIST, by method and seed."""
    return {
        (run.cell["algorithm"]["name"], run.cell["seed"]): run
        for run in Store(PUBLISHED).runs()
        if run.cell["scenario"]["dataset"] == "mnist"
        and run.cell["scenario"]["partition"]["name"] == "rotated"
    }


def by_hand(run: StoredRun) -> pd.Series[float]:
    """Return each client's test accuracy at the round selected on validation."""
    metrics = run.table("metrics").assign(accuracy=lambda m: m["correct"] / m["samples"])
    val = metrics[metrics["split"] == "val"].groupby("round")["accuracy"].mean().round(12)
    test = metrics[(metrics["split"] == "test") & (metrics["round"] == val.idxmax())]
    return test.set_index("client")["accuracy"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("method", ["fedora", "fedavg", "fedavg-ft"])
def test_a_run_against_local_follows_from_the_tables(
    method: str, seed: int, rotated: dict[tuple[str, int], StoredRun]
) -> None:
    run, local = rotated[method, seed], rotated["local", seed]
    found = transfer(run, rotated.values())
    assert found.partner.id == local.id
    own, base = by_hand(run), by_hand(local)
    gain = own - base
    n = run.table("metrics").query("split == 'test'").groupby("client")["samples"].first()
    error = np.sqrt((own * (1 - own) + base * (1 - base)) / n)
    np.testing.assert_allclose(found.clients["gain"], gain, atol=1e-12)
    assert found.whole.gain == pytest.approx(gain.mean())
    assert found.whole.hurt == pytest.approx((gain < 0).mean())
    assert found.whole.hurt_beyond_error == pytest.approx((gain < -error).mean())
    assert found.whole.worst_gain == pytest.approx(gain.min())
    assert set(found.clients["train"]) == {128}
    assert found.clients["distance"].between(0, 1).all()
    assert found.groups == {}


def test_fedora_hurts_few_and_averaging_most(rotated: dict[tuple[str, int], StoredRun]) -> None:
    """The official code in this setting, seed 42: none of 36 hurt, 0.0 to 11.2 points, mean 5.5."""
    fedora = [transfer(rotated["fedora", seed], rotated.values()) for seed in SEEDS]
    fedavg = [transfer(rotated["fedavg", seed], rotated.values()) for seed in SEEDS]
    for found in fedora:
        assert 0.03 < found.whole.gain < 0.07
        assert found.whole.hurt <= 0.1
        assert found.clients["gain"].max() < 0.16
    assert all(found.whole.hurt > 0.8 for found in fedavg)


def test_the_board_is_the_mean_of_its_runs(rotated: dict[tuple[str, int], StoredRun]) -> None:
    (board,) = boards(rotated.values())
    for row in board.rows:
        if row.algorithm == "local":
            continue
        each = [transfer(rotated[row.algorithm, seed], rotated.values()).whole for seed in SEEDS]
        assert row.measures is not None
        for name in ("gain", "hurt", "hurt_beyond_error"):
            mean = np.mean([getattr(whole, name) for whole in each])
            assert getattr(row.measures, name) == pytest.approx(mean)
        assert row.measures.worst_gain == min(whole.worst_gain for whole in each)


def test_the_command_shows_it(rotated: dict[tuple[str, int], StoredRun], tmp_path: Path) -> None:
    run = rotated["fedora", 0]
    picture = tmp_path / "gains.png"
    result = CliRunner().invoke(
        main, ["show", "transfer", run.id, "--results", str(PUBLISHED), "--save", str(picture)]
    )
    assert result.exit_code == 0, result.stderr
    gain = (by_hand(run) - by_hand(rotated["local", 0])).mean()
    (line,) = [text for text in result.stdout.splitlines() if text.split()[:2] == ["all", "36"]]
    assert f"{100 * gain:+.2f}" in line
    assert picture.read_bytes().startswith(b"\x89PNG")
    alone = next(
        one
        for one in Store(PUBLISHED).runs()
        if one.cell["scenario"]["partition"]["name"] == "pathological"
    )
    refused = CliRunner().invoke(main, ["show", "transfer", alone.id, "--results", str(PUBLISHED)])
    assert refused.exit_code == 2
    assert "No local run exists to compare" in refused.stderr
