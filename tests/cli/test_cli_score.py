"""`pflbench score`: metrics from stored predictions."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import SMALL, Call

from pflbench.results import Store


def test_metrics_are_computed_after_the_run(pflbench: Call, folder: Path, data: str) -> None:
    command = ("run", "--algo", "local", "--dataset", data, *SMALL)
    done = pflbench(*command, "--keep-predictions", "--quiet")
    assert done.exit_code == 0, done.stderr
    (run,) = Store(folder / "results").runs()
    done = pflbench("score", run.id[:6], "--metrics", "accuracy,macro-f1")
    assert done.exit_code == 0, done.stderr
    assert f"{run.summary['test_accuracy']:.4g}" in done.stdout
    assert "macro-f1" in done.stdout
    done = pflbench("score", run.id, "--metrics", "accuracy", "--split", "val")
    assert f"{run.summary['val_accuracy']:.4g}" in done.stdout
    done = pflbench("score", run.id, "--metrics", "macro-g1")
    assert (done.exit_code, "'macro-f1'" in done.stderr) == (2, True)
    done = pflbench(*command, "--keep-predictions", "lats", "--rerun", "always")
    assert (done.exit_code, "expected last or selected" in done.stderr) == (2, True)
    assert pflbench(*command, "--rerun", "always").exit_code == 0
    done = pflbench("score", run.id, "--metrics", "accuracy")
    assert (done.exit_code, "has no predictions" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("run --algo local --dataset npz:none.npz", "--metrics"),
        ("run --algo local --dataset npz:none.npz", "--observer"),
        ("score 1f0c", "--metrics"),
        ("table", "--metrics"),
        ("table", "--dataset"),
        ("leaderboard", "--dataset"),
        ("bundle all.zip", "--scenario"),
    ],
)
def test_an_option_that_names_nothing_is_refused_not_ignored(
    pflbench: Call, folder: Path, data: str, command: str, option: str
) -> None:
    for nothing in (",", ""):
        done = pflbench(*command.split(), option, nothing)
        assert (done.exit_code, done.stderr.strip()) == (
            2,
            f"Error: {option} is empty: expected at least one.",
        )
