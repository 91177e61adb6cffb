"""`pflbench show cost`: its tables and its picture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import pflbench
from pflbench.analysis.network import devices, read_network
from pflbench.analysis.run_costs import read
from pflbench.analysis.timeline import timeline
from pflbench.cli.main import main
from pflbench.results import Store, StoredRun

Runs = dict[tuple[str, int], StoredRun]


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["show", "cost", *arguments, "--results", str(folder)])


def line(text: str, heading: str, method: str) -> str:
    """Return a method's line in the table of a heading."""
    section = text[text.index(heading) :]
    return next(row for row in section.splitlines() if re.match(rf" *{method} ", row))


def test_all_runs_of_the_scenario(folder: Path, runs: Runs) -> None:
    shown = call(folder)
    assert shown.exit_code == 0, shown.stderr
    both = [runs["fedora", seed].summary for seed in (0, 1)]
    row = line(shown.stdout, "Whole runs", "fedora")
    accuracies = [s["test_accuracy"] for s in both]
    written = f"{np.mean(accuracies):.2%} ± {np.std(accuracies, ddof=1):.2%}"
    steps = sum(s["local_steps"] for s in both) / 2
    assert re.search(rf"fedora +2 +{written} +{steps:,.0f} ", row)
    assert "Whole runs, test accuracy, mean over 2 seeds" in shown.stdout
    assert f"{sum(s['bytes_up'] for s in both) / 2e6:,.1f}" in row
    tuned = line(shown.stdout, "Whole runs", "fedavg-ft")
    assert (
        f" + {sum(runs['fedavg-ft', s].summary['adapt_steps'] for s in (0, 1)) / 2:,.0f}" in tuned
    )
    assert re.search(r"fedora +set-up +up +subspace +5 ", shown.stdout)
    assert re.search(r"pfedhn +rounds +up +delta +30 ", shown.stdout)
    assert "Bytes that clients receive only to be evaluated are not counted" in shown.stdout
    assert "over" not in row
    assert "Until the validation accuracy" not in shown.stdout


def test_until_a_target(folder: Path, runs: Runs) -> None:
    reached_by = {
        name: max(float(read(runs[name, s]).val.means().max()) for s in (0, 1))
        for name in ("fedora", "fedavg")
    }
    shown = call(folder, "--target", "0.2", "--network", "lan")
    assert shown.exit_code == 0, shown.stderr
    row = line(shown.stdout, "Until the validation accuracy was 20.0%", "fedora")
    assert re.search(r"fedora +2 of 2 +\d", row)
    impossible = call(folder, "--target", "1").stdout
    row = line(impossible, "Until the validation", "fedora")
    assert f"never (best validation {reached_by['fedora']:.1%})" in row
    assert not re.search(r"\d", row.split(")")[1])


def test_a_target_that_only_some_seeds_reached_has_no_mean(folder: Path, runs: Runs) -> None:
    best = sorted(float(read(runs["local", s]).val.means().max()) for s in (0, 1))
    assert best[0] < best[1]
    row = line(call(folder, "--target", str(best[1])).stdout, "Until the validation", "local")
    assert re.search(r"local +1 of 2 +– ", row)


def test_over_a_network(folder: Path, runs: Runs) -> None:
    shown = call(folder, "--network", "lte(speed=0.01)")
    assert shown.exit_code == 0, shown.stderr
    over = read_network("lte(speed=0.01)").network
    times = [timeline(read(runs["fedora", seed]), over) for seed in (0, 1)]
    row = line(shown.stdout, "A federation over lte(speed=0.01)", "fedora")
    for part in ("set_up", "down", "compute", "up", "server"):
        assert f"{sum(getattr(t, part) for t in times) / 2:,.1f} s" in row
    assert "Speedtest Global Index" in shown.stdout  # where the figures come from


def test_single_runs_and_several_scenarios(folder: Path, runs: Runs, tmp_path: Path) -> None:
    one = call(folder, runs["fedora", 0].id[:10])
    assert re.search(r"fedora +1 ", one.stdout)
    assert "pfedhn" not in one.stdout
    other = tmp_path / "results"
    data = str(folder.parent / "digits.npz")
    for participation in (0.5, 1.0):
        pflbench.run(
            "fedavg",
            f"npz:{data}",
            clients=4,
            rounds=1,
            participation=participation,
            results=other,
            device="cpu",
        )
    several = call(other)
    assert several.exit_code == 2
    assert (
        "The folder has runs of 2 scenarios: name runs, or a scenario with --scenario"
        in several.stderr
    )
    ids = [run.id for run in Store(other).runs()]
    both = call(other, *ids)
    assert both.exit_code == 0
    assert "fedavg · participation 0.5" in both.stdout
    assert "fedavg · participation 1.0" in both.stdout


@pytest.mark.slow
def test_what_joining_cost(folder: Path, tmp_path: Path) -> None:
    data = f"npz:{folder.parent / 'digits.npz'}"
    for method in ("fedavg", "fedora"):
        pflbench.run(
            method,
            data,
            clients=6,
            rounds=2,
            eval_every=2,
            partition="iid",
            new_clients=0.34,
            results=tmp_path / "r",
            device="cpu",
        )
    shown = call(tmp_path / "r", "--network", "lte").stdout
    assert "Joining" not in call(folder).stdout
    section = shown[shown.index("Joining after the last round") :]
    (fedora,) = (
        run for run in Store(tmp_path / "r").runs() if run.cell["algorithm"]["name"] == "fedora"
    )
    joined = fedora.table("onboarding")
    own = joined[joined["shots"] == "all"]
    accuracy = (own["correct"] / own["samples"]).mean()
    rows = [row for row in section.splitlines() if re.match(r" *fedora ", row)]
    assert len(rows) == joined["shots"].nunique()
    assert rows[-1].endswith(f"{accuracy:.2%}")
    assert f" {own['steps'].mean():,.0f} " in rows[-1]
    # New clients enrol in no round: only the four participants are waited for.
    record = read(fedora)
    assert len(record.train_samples) == 4
    over = read_network("lte").network
    able = devices(over, 6, 0)
    size = fedora.table("messages").query("round == -1")["bytes"].sum() / 4
    waited = (0.04 + size / able.up[record.val.clients]).max()
    assert timeline(record, over).set_up == pytest.approx(waited)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_picture(ending: str, folder: Path, tmp_path: Path) -> None:
    picture, again = tmp_path / f"cost.{ending}", tmp_path / f"again.{ending}"
    options = ("--target", "0.2", "--network", "lan", "--save")
    assert call(folder, *options, str(picture)).exit_code == 0
    assert picture.stat().st_size > 5_000
    assert call(folder, *options, str(again)).exit_code == 0
    assert picture.read_bytes() == again.read_bytes()
    if ending == "svg":
        drawn = picture.read_text()
        for words in ("local (0 MB)", "fedora", "minutes over lan", "validation reached 20.0%"):
            assert f">{words}<" in drawn
        assert call(folder, "--save", str(again)).exit_code == 0
        assert "minutes" not in again.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "90"), "--target '90' is not valid: expected a number > 0 and ≤ 1"),
        (("--network", "carrier-pigeon"), "There is no network 'carrier-pigeon'"),
        (("--save", "cost.gif"), "expected a name that ends in"),
        (("0000000",), "There is no run '0000000'"),
        (("--scenario", "zzz"), "There is no scenario 'zzz'"),
    ],
)
def test_what_cannot_be(arguments: tuple[str, ...], words: str, folder: Path) -> None:
    refused = call(folder, *arguments)
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1
