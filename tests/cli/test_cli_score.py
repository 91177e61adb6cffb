"""`pflbench score`: metrics from stored predictions."""

from __future__ import annotations

from pathlib import Path

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
