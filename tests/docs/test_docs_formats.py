"""The results format is documented as a run writes it, column by column."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from documents import DOCS, column, section, table

import pflbench
from pflbench.analysis import boards
from pflbench.errors import DivergedError
from pflbench.report.tables.render import render
from pflbench.results import Store

PAGE = DOCS / "results-format.md"
TABLES = (
    "metrics",
    "rounds",
    "messages",
    "participation",
    "partition",
    "clients",
    "relatedness",
    "coordinates",
)


def federation() -> pflbench.Federation:
    x, y = [[0.0, 1.0], [1.0, 0.0], [0.5, 2.0]], [0, 1, 0]
    arrays = {f"{s}_{p}": v for s in ("train", "val", "test") for p, v in (("x", x), ("y", y))}
    return pflbench.Federation.from_arrays([arrays, arrays])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder with a complete run."""
    root = tmp_path_factory.mktemp("documented") / "results"
    pflbench.run("fedora", known_federation(), results=root, rounds=2, eval_every=1, device="cpu")
    return root


def known_federation() -> pflbench.Federation:
    """Return one that knows how its clients relate."""
    known = {"coordinates": np.array([[0.0], [1.0]]), "groups": np.array([0, 0])}
    return dataclasses.replace(federation(), **known)


def kind(series: pd.Series[Any]) -> str:
    if pd.api.types.is_bool_dtype(series):
        return "bool"
    if pd.api.types.is_integer_dtype(series):
        return "int"
    return "float" if pd.api.types.is_float_dtype(series) else "text"


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_of_a_table(results: Path, name: str) -> None:
    (run,) = Store(results).runs()
    frame = run.table(name)
    documented = table(section(PAGE, f"{name}.parquet"))
    assert [(row["Column"], row["Type"]) for row in documented] == [
        (c, kind(frame[c])) for c in frame.columns
    ]


def test_what_is_kept_of_new_clients(tmp_path: Path) -> None:
    root = tmp_path / "results"
    pflbench.run("local", federation(), results=root, rounds=1, new_clients=0.5, device="cpu")
    (run,) = Store(root).runs()
    frame, text = run.table("onboarding"), section(PAGE, "onboarding.parquet")
    assert [(row["Column"], row["Type"]) for row in table(text)] == [
        (c, kind(frame[c])) for c in frame.columns
    ]
    assert all(f"`{key}`" in text for key in ("onboarding", *run.summary["onboarding"]))


def test_the_files_of_a_run(results: Path) -> None:
    (run,) = Store(results).runs()
    tree = PAGE.read_text("utf-8").split("```")[1]
    listed = {line.split("── ")[1].split()[0] for line in tree.splitlines() if "── " in line}
    written = {p.name for p in run.folder.iterdir()}
    assert written == {
        *(f"{n}.parquet" for n in TABLES),
        "run.json",
        "environment.json",
        "summary.json",
    }
    outer = {"pflbench.json", "runs/", "07bbe83e2daf/"}
    assert listed == written | outer | {
        "failure.json",
        "checkpoint/",
        "privacy.parquet",
        "onboarding.parquet",
        "stages.parquet",
        "models.safetensors",
        "predictions.safetensors",
    }
    assert json.loads((results / "pflbench.json").read_text()) == {
        "format": "pflbench results",
        "version": 1,
    }
    assert json.dumps({"format": "pflbench results", "version": 1}) in tree


def test_the_keys_of_a_run(results: Path) -> None:
    (run,) = Store(results).runs()
    keys = [key for key in run.summary if not key.startswith("relatedness_")]
    assert column(section(PAGE, "summary.json"), "Key") == keys
    assert column(section(PAGE, "environment.json"), "Key") == list(run.environment)
    text = section(PAGE, "run.json")
    for key in (*run.cell, *run.labels):
        assert f"`{key}`" in text


def test_the_scores_of_what_a_server_learnt(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((4, 3, 2)).tolist()
    arrays = [
        {f"{s}_{p}": own if p == "x" else [0, 1, 0] for s in ("train", "val", "test") for p in "xy"}
        for own in x
    ]
    known = dataclasses.replace(
        pflbench.Federation.from_arrays(arrays),
        groups=np.array([0, 0, 1, 1]),
        coordinates=np.arange(4.0)[:, None],
    )
    summary = pflbench.run("fedora", known, rounds=1, device="cpu").summary
    scores = [key for key in summary if key.startswith("relatedness_")]
    assert len(scores) == 3
    assert column(section(PAGE, "relatedness.parquet").split("further keys")[1], "Score") == scores


def test_the_keys_of_a_failure(tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        pflbench.run("local", federation(), results=tmp_path / "r", rounds=3, lr=1e30, device="cpu")
    (run,) = Store(tmp_path / "r").runs()
    assert run.status == "failed"
    assert column(section(PAGE, "failure.json"), "Key") == list(run.failure)


def test_the_columns_of_a_leaderboard(results: Path) -> None:
    written = render(boards(Store(results).runs()), "csv")
    header = next(csv.reader(written.splitlines()))
    assert column(section(PAGE, "Leaderboards"), "Column") == header
