"""The predictions of a run: metrics from them are those measured in the run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import Tensor

import pflbench
from pflbench import Federation
from pflbench.errors import InputError, Notice, UnknownNameError
from pflbench.results import Store
from pflbench.runs import Observer, execution

SHORT: dict[str, Any] = {"rounds": 6, "eval_every": 2, "batch_size": 8, "lr": 0.5, "seed": 3}
NAMED = ["balanced-accuracy", "macro-f1", "macro-auc", "top-5-accuracy"]


def check_scores(result: pflbench.Result, round: int) -> None:
    """Compare metrics from the stored predictions with those of the run's table."""
    table = result.metrics.query("round == @round")
    for split in ("val", "test"):
        here = table.query("split == @split").set_index("client")
        found = result.predictions(split)
        assert (found.round, found.clients) == (round, tuple(here.index))
        for name in ("accuracy", "loss", "brier", "ece", *NAMED):
            scores = found.score(name)
            assert scores.name == name
            np.testing.assert_allclose(scores, here[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "which", "stored"), [("fedavg-ft", "selected", True), ("fedrod", "last", False)]
)
def test_scores_are_those_of_the_run(
    method: str, which: str, stored: bool, federation: Federation, results: Path
) -> None:
    where: dict[str, Any] = {"results": results} if stored else {}
    result = pflbench.run(
        method, federation, keep_predictions=which, metrics=NAMED, **where, **SHORT
    )
    check_scores(result, 6 if which == "last" else int(result.summary["selected_round"]))
    log_p, y = result.predictions("test").client(2)
    assert log_p.shape == (len(y), federation.classes)
    assert torch.allclose(log_p.exp().sum(dim=1), torch.ones(len(y)))
    if stored:
        (run,) = Store(results).runs()
        assert "predictions.safetensors" in run.seal
        assert "val.labels" in safetensors.torch.load_file(run.folder / "predictions.safetensors")


def test_they_change_no_number_and_no_identity(federation: Federation, results: Path) -> None:
    plain = pflbench.run("fedora", federation, results=results / "plain", **SHORT)
    keeping = pflbench.run("fedora", federation, keep_predictions="last", **SHORT)
    assert keeping.run_id == plain.run_id
    pd.testing.assert_frame_equal(keeping.metrics, plain.metrics, check_exact=True)
    assert not list(results.rglob("predictions*"))
    asked: dict[str, Any] = {"results": results / "plain", **SHORT}
    with pytest.raises(InputError, match="with --keep-predictions --rerun always"):
        plain.predictions()
    with pytest.warns(Notice, match="stored without the predictions .* again with --rerun always"):
        pflbench.run("fedora", federation, keep_predictions="last", **asked)
    again = pflbench.run("fedora", federation, keep_predictions="last", rerun="always", **asked)
    assert again.predictions().round == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pflbench.run("fedora", federation, keep_predictions="last", **asked)


class Stops(Observer):
    def round_done(self, progress: Any) -> None:
        if progress.round == 11:
            raise KeyboardInterrupt


def test_a_resumed_run_has_them(
    federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    asked: dict[str, Any] = {**SHORT, "rounds": 12, "metrics": NAMED}
    asked["keep_predictions"] = "selected"
    with pytest.raises(KeyboardInterrupt):
        pflbench.run("local", federation, observers=[Stops()], results=results, **asked)
    result = pflbench.run("local", federation, results=results, **asked)
    assert result.summary["selected_round"] < 11  # before it was interrupted
    check_scores(result, int(result.summary["selected_round"]))


def hits(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return ((logits.argmax(dim=-1) == y) * mask).sum()


def test_questions_about_them(federation: Federation) -> None:
    options = {**SHORT, "new_clients": 0.4, "keep_predictions": "last"}
    result = pflbench.run("fedavg", federation, **options)
    found = result.predictions()
    table = result.metrics.query("round == 6 and split == 'test'").set_index("client")
    scores = found.score(hits)
    assert (scores.name, scores.tolist()) == ("hits", table["correct"].tolist())
    with pytest.raises(UnknownNameError, match=r"'macro-f2'.*mean 'macro-f1'"):
        found.score("macro-f2")
    with pytest.raises(UnknownNameError, match=r"'tset'.*mean 'test'"):
        result.predictions("tset")
    new = next(i for i in range(5) if i not in table.index)
    with pytest.raises(InputError, match=f"no predictions of client {new}: .*new clients have"):
        found.client(new)
    with pytest.raises(InputError, match='run it with keep_predictions="selected"'):
        pflbench.run("fedavg", federation, rounds=1).predictions()
    with pytest.raises(InputError, match="keep_predictions 'every=2' is not valid: expected last"):
        pflbench.run("fedavg", federation, keep_predictions="every=2", rounds=1)
