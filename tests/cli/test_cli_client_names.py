"""Clients keep the names that the data give them, wherever a client is shown; names are text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from calling import Call

import pflbench as package
from pflbench.errors import DivergedError, InputError
from pflbench.federation import Federation, Pool, build
from pflbench.federation.partitioners.natural import NaturalPartitioner
from pflbench.results import Store
from pflbench.schema.parameters import NoParameters

NAMES = ("clinic 2", "clinic 10", "clinic 11", "ward")
EVIL = (
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m",
    "$\\frac{1}{0}$ & _ %",
    "\u202eesrever\u200f",
    "[bold]x[/bold]",
    "a\nb",
    "lone \udcfc",
    "long " * 50,
)
SHORT = ("--rounds", "2", "--eval-every", "2", "--device", "cpu", "--quiet")


def write(folder: Path, names: tuple[str, ...], each: int = 20) -> str:
    """Save points of clients of these names, in another order than theirs."""
    rng = np.random.default_rng(0)
    n = each * len(names)
    y = rng.integers(0, 3, n)
    x = (rng.normal(size=(n, 4)) + 2 * np.eye(4)[y]).astype(np.float32)
    client = np.array(names[::-1])[np.arange(n) % len(names)]
    np.savez(folder / "named.npz", x=x, y=y, client=client)
    return "npz:named.npz"


@pytest.fixture
def named(folder: Path, pflbench: Call) -> dict[str, str]:
    """Ids of complete runs among the named clients, by method."""
    data = write(folder, NAMES)
    done = pflbench("run", "--algo", "local,fedora", "--dataset", data, *SHORT)
    assert done.exit_code == 0, done.stderr
    return {run.cell["algorithm"]["name"]: run.id for run in Store(folder / "results").runs()}


def test_names_are_stored_and_shown_with_the_numbers(
    named: dict[str, str], folder: Path, pflbench: Call
) -> None:
    labels = [f"{i} ({name})" for i, name in enumerate(NAMES)]
    run = Store(folder / "results").get(named["fedora"])
    assert run is not None
    assert run.table("clients")["name"].tolist() == list(NAMES)
    transfer = pflbench("show", "transfer", named["fedora"])
    partition = pflbench("show", "partition", "natural", "--dataset", "npz:named.npz")
    related = pflbench("show", "relatedness", named["fedora"])
    for shown in (transfer, partition, related):
        assert shown.exit_code == 0, shown.stderr
        lines = [line.strip() for line in shown.stdout.splitlines()]
        for label in labels:
            assert any(line.startswith(label) for line in lines), label
    drawn = pflbench("plot", "partition", "--save", "p.svg")
    assert drawn.exit_code == 0, drawn.stderr
    made = pflbench("show", "partition", "natural", "--dataset", "npz:named.npz", "--save", "s.svg")
    assert made.exit_code == 0, made.stderr
    for picture in ("p.svg", "s.svg"):
        assert all(label in (folder / picture).read_text() for label in labels)
    grouped = pflbench(
        "show", "partition", "natural", "--dataset", "npz:named.npz", "--population", "groups"
    )
    assert any(f"Group 1: clients {label}" in grouped.stdout for label in labels)


@pytest.mark.slow
def test_a_run_of_before_names_were_kept_is_reproduced_and_shown(
    named: dict[str, str], folder: Path, pflbench: Call
) -> None:
    for run_id in named.values():
        run = folder / "results" / "runs" / run_id
        path = run / "clients.parquet"
        pd.read_parquet(path).drop(columns="name").to_parquet(path, index=False)
        summary = json.loads((run / "summary.json").read_text())
        del summary["sha256"]  # nor were digests kept
        (run / "summary.json").write_text(json.dumps(summary))
    again = pflbench("reproduce", named["local"])
    assert again.exit_code == 0, again.stderr
    assert "bit for bit" in again.stdout
    shown = pflbench("show", "transfer", named["fedora"])
    assert shown.exit_code == 0, shown.stderr
    assert "clinic" not in shown.stdout


@pytest.mark.parametrize("new", [0.0, 0.5])
def test_an_error_names_the_client(new: float, folder: Path) -> None:
    options = {"new_clients": new} if new else {}
    with pytest.raises(DivergedError) as caught:
        package.run("local", write(folder, NAMES), results="results", rounds=3, lr=1e30, **options)
    error = caught.value
    assert f"of client {error.client} ({NAMES[error.client]}) became" in str(error)
    (run,) = Store(folder / "results").runs()
    assert f"({NAMES[error.client]})" in run.failure["message"]


def test_a_client_that_natural_cannot_make_is_named() -> None:
    owner = np.array([0, 0, 0, 0, 0, 1])
    x, y = np.zeros((6, 2)), np.array([0, 1, 0, 1, 0, 1])
    pool = Pool(
        x,
        y,
        x,
        y,
        2,
        "six samples",
        2,
        train_owner=owner,
        test_owner=owner,
        client_names=("here", "Ham (burg)"),
    )
    with pytest.raises(InputError, match=r"client 1 \(Ham \(burg\)\) of the data has no val"):
        build(pool, NaturalPartitioner(NoParameters()), None, 0)


@pytest.mark.slow
def test_names_of_clients_are_text_and_no_markup(folder: Path, pflbench: Call) -> None:
    done = pflbench("run", "--algo", "local,fedora", "--dataset", write(folder, EVIL), *SHORT)
    assert done.exit_code == 0, done.stderr
    (run,) = [r for r in Store(folder / "results").runs() if r.has_table("relatedness")]
    assert len(set(run.table("clients")["name"])) == len(EVIL)
    data = ("--dataset", "npz:named.npz")
    for words in (
        ("show", "transfer", run.id),
        ("show", "relatedness", run.id, "--save", "r.svg"),
        ("show", "partition", "natural", *data, "--save", "s.svg"),
        ("plot", "partition", "--save", "p.svg"),
        ("report", "--out", "r.html"),
        ("leaderboard", "--format", "latex"),
    ):
        shown = pflbench(*words)
        assert shown.exit_code == 0, (words, shown.stderr)
        for raw in ("\x1b", "\u202e", "\u200f"):
            assert raw not in shown.stdout
    transfer = pflbench("show", "transfer", run.id).stdout
    assert "(<script>alert(1)</script>)" in transfer
    assert "([bold]x[/bold])" in transfer
    assert "lone \\xfc" in transfer
    for made in ("r.svg", "s.svg", "p.svg", "r.html"):
        content = (folder / made).read_text()
        assert "<script>alert(1)" not in content
        assert "\u202e" not in content


def test_a_name_that_is_the_number_is_not_said_twice() -> None:
    own = {
        f"{s}_{p}": np.eye(2) if p == "x" else [0, 1]
        for s in ("train", "val", "test")
        for p in "xy"
    }
    made = Federation.from_arrays({0: own, 1: own})
    assert made.names == ("0", "1")
    assert made.called(1) == "client 1"
