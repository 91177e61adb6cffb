"""`pflbench show relatedness`, the boards' columns of it, and similarity measures by name."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from calling import SMALL, Call, files

from pflbench.analysis.relatedness_tables import matrices_of
from pflbench.results import Store

GROUPS = ("--partition", "iid", "--population", "groups(minority=0.4)", "--clients", "10")
SHORT = ("--rounds", "2", "--eval-every", "2", "--device", "cpu")


def run(pflbench: Call, *arguments: str) -> None:
    result = pflbench("run", *arguments, "--quiet")
    assert result.exit_code == 0, result.stderr


def test_a_run_shows_its_graph_and_how_true_it_is(pflbench: Call, folder: Path, data: str) -> None:
    truth = ("--set", "fedora.similarity=truth")
    run(pflbench, "--algo", "fedora", "--dataset", data, *GROUPS, *SHORT, *truth)
    (stored,) = Store(folder / "results").runs()
    shown = pflbench("show", "relatedness", stored.id[:6])
    assert shown.exit_code == 0, shown.stderr
    assert f"fedora(similarity=truth), run {stored.id}" in shown.stdout
    assert "10 clients, by group, then true coordinates" in shown.stdout
    lines = shown.stdout.splitlines()
    found = matrices_of(stored.table("relatedness"))
    for i in range(10):
        (line,) = [text for text in lines if text.split()[:1] == [str(i)]]
        heard = np.flatnonzero(found.weight[i])
        assert len(heard) == 2
        for j in heard:
            assert f"{j} ({found.weight[i, j]:.2f})" in line
        assert "!" not in line
    (same,) = [text for text in lines if text.strip().startswith("same group")]
    assert same.split()[2] == f"{stored.summary['relatedness_same_group']:.3f}" == "1.000"


def test_wrong_neighbours_are_marked(pflbench: Call, folder: Path, data: str) -> None:
    by_chance = ("--set", "fedora.similarity=random")
    run(pflbench, "--algo", "fedora", "--dataset", data, *GROUPS, *SHORT, *by_chance)
    (stored,) = Store(folder / "results").runs()
    shown = pflbench("show", "relatedness", stored.id).stdout
    group = stored.table("clients")["group"].to_numpy()
    found = matrices_of(stored.table("relatedness"))
    strangers = (found.weight > 0) & (group[:, None] != group)
    assert strangers.any()
    assert shown.count(")!") == strangers.sum()
    assert 1 - strangers.sum() / 20 == pytest.approx(stored.summary["relatedness_same_group"])


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_its_picture_is_saved(pflbench: Call, folder: Path, data: str, ending: str) -> None:
    run(pflbench, "--algo", "fedora", "--dataset", data, *GROUPS, *SHORT)
    (stored,) = Store(folder / "results").runs()
    before = files(folder)
    shown = pflbench("show", "relatedness", stored.id, "--save", f"graph.{ending}")
    assert shown.exit_code == 0, shown.stderr
    assert "wrote graph" in shown.stderr
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    content = (folder / f"graph.{ending}").read_bytes()
    assert content.startswith(magic)
    assert files(folder) == sorted([*before, f"graph.{ending}"])


@pytest.mark.slow
def test_the_same_picture_is_the_same_file(pflbench: Call, folder: Path, data: str) -> None:
    run(pflbench, "--algo", "fedora", "--dataset", data, *GROUPS, *SHORT)
    (stored,) = Store(folder / "results").runs()
    for name in ("one.svg", "other.svg"):
        assert pflbench("show", "relatedness", stored.id, "--save", name).exit_code == 0
    assert (folder / "one.svg").read_bytes() == (folder / "other.svg").read_bytes()
    refused = pflbench("show", "relatedness", stored.id, "--save", "graph.txt")
    assert refused.exit_code == 2
    assert "graph.txt" in refused.stderr


@pytest.mark.slow
def test_without_truth_nothing_is_scored(pflbench: Call, folder: Path, data: str) -> None:
    run(pflbench, "--algo", "fedora,local", "--dataset", data, *SMALL)
    by_name = {r.cell["algorithm"]["name"]: r for r in Store(folder / "results").runs()}
    shown = pflbench("show", "relatedness", by_name["fedora"].id, "--save", "graph.svg")
    assert shown.exit_code == 0, shown.stderr
    assert "3 clients, by learnt similarity" in shown.stdout
    assert "nothing is scored" in shown.stdout
    assert not any(key.startswith("relatedness") for key in by_name["fedora"].summary)
    assert not by_name["fedora"].has_table("coordinates")
    refused = pflbench("show", "relatedness", by_name["local"].id)
    assert refused.exit_code == 2
    assert "of local holds no relatedness" in refused.stderr
    unknown = pflbench("show", "relatedness", "zz")
    assert unknown.exit_code == 2
    assert "There is no run 'zz'" in unknown.stderr


def test_boards_set_accuracy_against_the_scores(pflbench: Call, folder: Path, data: str) -> None:
    common = ("--dataset", data, *GROUPS, *SHORT)
    run(pflbench, "--algo", "local,fedora,fedora(similarity=truth)", *common)
    rows = list(csv.DictReader(io.StringIO(pflbench("leaderboard", "--format", "csv").stdout)))
    scores = {row["method"]: row["relatedness_same_group"] for row in rows}
    assert scores["local"] == ""
    assert float(scores["fedora(similarity=truth)"]) == 1
    stored = {r.id: r for r in Store(folder / "results").runs()}
    (usual,) = [row for row in rows if row["method"] == "fedora"]
    summary = stored[usual["runs"]].summary
    assert float(scores["fedora"]) == summary["relatedness_same_group"]
    board = pflbench("leaderboard", "--columns", "relatedness", "--format", "markdown").stdout
    (line,) = [text for text in board.splitlines() if text.startswith("| fedora(similarity=truth)")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[-3:] == ["1.000", "100.0", "100.0"]
    (local,) = [text for text in board.splitlines() if text.startswith("| local")]
    assert [cell.strip() for cell in local.strip("|").split("|")][-3:] == ["–", "–", "–"]


def test_measures_are_listed_and_wrong_ones_refused(
    pflbench: Call, folder: Path, data: str
) -> None:
    listed = pflbench("list", "similarities").stdout
    for name in (
        "subspace",
        "label-distribution",
        "mean-covariance",
        "gradient",
        "random",
        "truth",
    ):
        assert any(line.split()[:1] == [name] for line in listed.splitlines())
        shown = pflbench("show", name).stdout
        assert "reveals" in shown
    before = files(folder)
    for setting, words in (
        (
            "fedora.similarity=gradeint",
            "There is no similarity 'gradeint'. Did you mean 'gradient'",
        ),
        ("fedora.similarity=truth", "'truth' needs a scenario that knows how its clients relate"),
    ):
        command = ("run", "--algo", "fedora", "--dataset", data, *SMALL, "--set", setting)
        refused = pflbench(*command)
        assert refused.exit_code == 2
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr
    assert files(folder) == before
