"""Something else in place of a run's folder is said, hides no other run, and is replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pflbench.errors import DamagedError
from pflbench.results import Store
from pflbench.results.store import DamagedRunWarning
from pflbench.schema.scenario import Cell

INSTEAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "file": (lambda path: path.write_text("mine"), "a file"),
    "pipe": (os.mkfifo, "a pipe"),
    "link to itself": (lambda path: path.symlink_to(path.name), "a link that leads nowhere"),
    "lost link": (lambda path: path.symlink_to("gone"), "a link that leads nowhere"),
    "link to a file": (lambda path: path.symlink_to("../pflbench.json"), "a file"),
}


@pytest.fixture(params=INSTEAD)
def said(request: pytest.FixtureRequest, store: Store, cell: Cell, other_cell: Cell) -> str:
    """Put something in the place of a run's folder, beside a run; return what it is called."""
    store.open(other_cell.to_json(), {}, {}).close()
    put, words = INSTEAD[request.param]
    put(store.root / "runs" / cell.id)
    return f"{cell.id} is damaged: it is {words}, and a folder is expected"


def test_what_stands_in_place_of_a_folder_is_said(
    said: str, store: Store, cell: Cell, other_cell: Cell
) -> None:
    assert set(store.ids()) == {cell.id, other_cell.id}
    run = store.get(cell.id)
    assert run is not None
    with pytest.raises(DamagedError, match=f"{said}; give the command that made run {cell.id}"):
        run.check()
    with pytest.warns(DamagedRunWarning, match=said):
        (other,) = store.runs()
    assert other.id == other_cell.id


@pytest.mark.parametrize("replace", [False, True])
def test_what_stands_in_place_of_a_folder_is_replaced(
    said: str, store: Store, cell: Cell, replace: bool, tables: dict[str, pd.DataFrame]
) -> None:
    with store.open(cell.to_json(), {}, {}, replace=replace) as writer:
        assert writer.complete(tables, {}).status == "complete"
    assert (store.root / "runs" / cell.id).is_dir()
    assert (store.root / "pflbench.json").is_file()
    assert not list((store.root / "runs").glob(".*"))
    assert {run.status for run in store.runs()} == {"complete", "unfinished"}


def test_what_stands_in_place_of_a_folder_is_removed(said: str, store: Store, cell: Cell) -> None:
    store.reset(cell.id)
    assert not os.path.lexists(store.root / "runs" / cell.id)
    assert (store.root / "pflbench.json").is_file()
