"""Runs whose clients protect their uploads: what is kept of it, and what it costs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import pflbench
from pflbench import Federation
from pflbench.cli.main import main
from pflbench.engine.privacy_accounting import epsilon
from pflbench.errors import InputError
from pflbench.results import Store
from pflbench.runs import Observer, RunRequest, execution, plan
from pflbench.schema.privacy import Gaussian

SHORT: dict[str, Any] = {
    "rounds": 3,
    "eval_every": 3,
    "local_epochs": 2,
    "batch_size": 8,
    "lr": 0.02,
    "device": "cpu",
}
METHODS = {
    "local": (0, 0),
    "fedavg": (0, 3),
    "fedavg-ft": (0, 3),
    "fedprox": (0, 3),
    "fedora": (1, 3),
    "pfedhn": (0, 3),
    "pfedhn-pc": (0, 3),
}
"""What each method's clients give away: at enrolment and in rounds."""


@pytest.mark.mostly_slow("[fedora]", "[pfedhn]")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_its_clients_gave_away(method: str, federation: Federation) -> None:
    rule = "gaussian(clip=0.5, noise=4, delta=1e-4)"
    result = pflbench.run(method, federation, privacy=rule, **SHORT)
    expected = epsilon(Gaussian(noise=4, delta=1e-4), *METHODS[method])
    assert result.summary["epsilon"] == pytest.approx(expected)
    assert (expected > 0) == (method != "local")
    assert result.summary["delta"] == 1e-4
    table = result.privacy
    assert table["client"].tolist() == list(range(5))
    for name, count in zip(("enrolments", "rounds"), METHODS[method], strict=True):
        assert table[name].tolist() == [count] * 5
    assert table["epsilon"].tolist() == pytest.approx([expected] * 5)


def test_the_worst_client_is_the_one_that_took_part_most(federation: Federation) -> None:
    options = {**SHORT, "rounds": 6, "eval_every": 6, "participation": 0.4}
    result = pflbench.run("fedora", federation, privacy="gaussian(noise=3)", **options)
    table = result.privacy
    assert table["rounds"].sum() == 6 * 2
    assert table["rounds"].nunique() > 1
    most = int(table["rounds"].max())
    assert most < 6
    assert result.summary["epsilon"] == epsilon(Gaussian(noise=3), 1, most)
    assert result.summary["epsilon"] == table["epsilon"].max()


def test_without_noise_epsilon_is_infinite(federation: Federation, tmp_path: Path) -> None:
    for results in (None, tmp_path / "r"):
        made = pflbench.run(
            "fedavg", federation, privacy="gaussian(noise=0)", results=results, **SHORT
        )
        assert float(made.summary["epsilon"]) == float("inf")
    (run,) = Store(tmp_path / "r").runs()
    assert (run.table("privacy")["epsilon"] == float("inf")).all()


def test_the_option_alone_makes_another_run(federation: Federation) -> None:
    def cell(privacy: str | None) -> Any:
        return plan(RunRequest("fedavg", federation, privacy=privacy, **SHORT)).cell

    plain = cell(None)
    assert "privacy" not in plain.to_json()["scenario"]
    ids = {cell(text).id for text in ("gaussian", "gaussian(clip=2)", "gaussian(noise=0)")}
    assert len(ids | {plain.id}) == 4
    assert cell("gaussian").id == cell("gaussian(noise=1, clip=1.0, delta=1e-5)").id


def test_without_the_option_nothing_is_said_of_it(federation: Federation, tmp_path: Path) -> None:
    result = pflbench.run("fedora", federation, results=tmp_path / "r", **SHORT)
    assert not {"epsilon", "delta"} & set(result.summary)
    (run,) = Store(tmp_path / "r").runs()
    assert not run.has_table("privacy")


@pytest.mark.slow
def test_a_strong_norm_and_much_noise_cost_accuracy(digits: str) -> None:
    options: dict[str, Any] = {
        "clients": 6,
        "partition": "iid",
        "rounds": 12,
        "eval_every": 12,
        "local_epochs": 3,
        "batch_size": 16,
        "lr": 0.05,
        "device": "cpu",
        "model": "mlp(hidden=16)",
    }

    def accuracy(privacy: str | None) -> float:
        result = pflbench.run("fedavg", digits, privacy=privacy, **options)
        return float(result.summary["test_accuracy_last"])

    free = accuracy(None)
    assert free > 0.6
    assert accuracy("gaussian(clip=100, noise=0)") == pytest.approx(free, abs=0.02)
    some = accuracy("gaussian(clip=1, noise=0.2)")
    much = accuracy("gaussian(clip=1, noise=2)")
    assert much + 0.1 < some < free - 0.1
    assert much < 0.3  # of ten classes


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fedora", "pfedhn"])
def test_an_interrupted_run_goes_on_with_the_same_noise(
    method: str, federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stops(Observer):
        started_at: list[int]

        def __init__(self) -> None:
            self.started_at = []

        def started(self, info: Any) -> None:
            self.started_at.append(info.start_round)

        def round_done(self, progress: Any) -> None:
            if progress.round == 2 and len(self.started_at) == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", 0.0)
    stops = Stops()
    options = {**SHORT, "privacy": "gaussian(noise=0.5)", "observers": [stops]}
    with pytest.raises(KeyboardInterrupt):
        pflbench.run(method, federation, results=tmp_path / "r", **options)
    resumed = pflbench.run(method, federation, results=tmp_path / "r", **options)
    assert stops.started_at[1] > 0
    whole = pflbench.run(method, federation, **{**options, "observers": []})
    pd.testing.assert_frame_equal(resumed.metrics, whole.metrics, check_exact=True)
    pd.testing.assert_frame_equal(resumed.privacy, whole.privacy)
    assert resumed.summary["epsilon"] == whole.summary["epsilon"]


def test_without_the_accountant_nothing_starts(
    digits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opacus.accountants", None)
    words = [
        "run",
        "--algo",
        "fedavg",
        "--dataset",
        digits,
        "--rounds",
        "1",
        "--device",
        "cpu",
        "--results",
        str(tmp_path / "r"),
    ]
    refused = CliRunner().invoke(main, [*words, "--privacy", "gaussian"])
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert "pip install 'pflbench[privacy]'" in refused.stderr
    assert not (tmp_path / "r").exists()
    assert CliRunner().invoke(main, words).exit_code == 0  # it is needed for nothing else


def test_the_command_line_has_it(digits: str, tmp_path: Path) -> None:
    words = [
        "run",
        "--algo",
        "fedora",
        "--dataset",
        digits,
        "--rounds",
        "1",
        "--device",
        "cpu",
        "--results",
        str(tmp_path / "r"),
    ]
    for bad in ("gausian(clip=1)", "gaussian(clip=0)"):
        refused = CliRunner().invoke(main, [*words, "--privacy", bad])
        assert refused.exit_code == 2
        assert "gaussian" in refused.stderr
        assert not (tmp_path / "r").exists()
    done = CliRunner().invoke(main, [*words, "--privacy", "gaussian(clip=2, noise=1.5)"])
    assert done.exit_code == 0, done.stderr
    assert "uploads under gaussian(clip=2, noise=1.5" in " ".join(done.stdout.split())
    (run,) = Store(tmp_path / "r").runs()
    assert run.typed_cell.to_json() == run.cell
    assert run.typed_cell.id == run.id
    command = str(run.labels["command"])
    assert "--privacy 'gaussian(clip=2.0, noise=1.5, enrol_clip=none, enrol_noise=none" in command
    shown = CliRunner().invoke(main, ["show", "run", run.id, "--results", str(tmp_path / "r")])
    assert re.search(r"privacy +gaussian\(clip=2.0, noise=1.5, delta=1e-05\)", shown.stdout)
    assert re.search(rf"epsilon +{run.summary['epsilon']:.4g}\b", shown.stdout)


@pytest.mark.parametrize("privacy", [1.0, ("gaussian",)])
def test_what_is_no_expression(privacy: Any, federation: Federation) -> None:
    with pytest.raises(InputError, match=r"privacy = .* is not valid: expected an expression"):
        pflbench.run("fedavg", federation, privacy=privacy, **SHORT)
