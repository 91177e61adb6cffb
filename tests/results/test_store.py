"""A results folder: what it keeps, what it refuses, and who may write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
import torch

from pflbench.errors import DamagedError, InputError, WorkError
from pflbench.results import Store
from pflbench.results.files import write_table
from pflbench.results.store import DamagedRunWarning
from pflbench.schema.scenario import Cell, digest

Tables = dict[str, pd.DataFrame]
LABELS = {"dataset": "mnist", "command": "pflbench run --algo fedavg"}


def complete(store: Store, cell: Cell, tables: Tables, accuracy: float = 0.75) -> Path:
    with store.open(cell.to_json(), LABELS, {"host": "here"}) as writer:
        return writer.complete(tables, {"test_accuracy": accuracy}).folder


def test_a_complete_run_is_read_back(store: Store, cell: Cell, tables: Tables) -> None:
    complete(store, cell, tables)
    (run,) = Store(store.root).runs()
    assert (run.id, run.status) == (cell.id, "complete")
    assert run.typed_cell == cell
    assert run.cell == cell.to_json()
    assert run.labels == LABELS
    assert run.environment == {"host": "here"}
    assert run.summary == {"test_accuracy": 0.75}
    pd.testing.assert_frame_equal(run.table("metrics"), tables["metrics"])
    assert [list(c) for c in run.table("rounds")["cohort"]] == [[0, 1], [1]]
    assert not list(run.folder.glob(".*"))
    assert not (run.folder / "checkpoint").exists()
    assert json.loads((store.root / "pflbench.json").read_text()) == {
        "format": "pflbench results",
        "version": 1,
    }


def test_numbers_of_numpy_and_torch_become_json(store: Store, cell: Cell, tables: Tables) -> None:
    summary = {"a": tables["metrics"]["correct"].sum(), "b": torch.tensor(0.5), "c": float("nan")}
    with store.open(cell.to_json(), {}, {}) as writer:
        run = writer.complete({}, {**summary, "nested": {"list": (1, 2)}})
    assert run.summary == {"a": 30, "b": 0.5, "c": None, "nested": {"list": [1, 2]}}


def test_making_a_store_writes_nothing(root: Path) -> None:
    store = Store(root, create=True)
    assert store.runs() == []
    assert store.get("0" * 12) is None
    assert not root.exists()


def test_an_unfinished_run_is_listed_and_taken_up(store: Store, cell: Cell, tables: Tables) -> None:
    with store.open(cell.to_json(), LABELS, {"host": "first"}):
        pass
    run = store.get(cell.id)
    assert run is not None
    assert run.status == "unfinished"
    with pytest.raises(InputError, match="no table 'metrics'"):
        run.table("metrics")
    with store.open(cell.to_json(), LABELS, {"host": "second"}) as writer:
        run = writer.complete(tables, {})
    assert run.environment == {"host": "second", "earlier": [{"host": "first"}]}


def test_a_failed_run_is_kept_then_tried_again(store: Store, cell: Cell, tables: Tables) -> None:
    failure = {"error": "DivergedError", "round": 3, "client": 1, "loss": float("inf")}
    with store.open(cell.to_json(), LABELS, {}) as writer:
        run = writer.fail(tables, failure)
    assert run.status == "failed"
    assert run.failure == {**failure, "loss": None}
    assert len(run.table("metrics")) == 4
    with store.open(cell.to_json(), LABELS, {}) as writer:
        again = store.get(cell.id)
        assert again is not None
        assert again.status == "unfinished"
        assert not again.has_table("metrics")
        assert writer.restore() is None


def test_a_complete_run_is_not_overwritten_unless_asked(
    store: Store, cell: Cell, tables: Tables
) -> None:
    complete(store, cell, tables)
    with pytest.raises(WorkError, match="complete already"):
        store.open(cell.to_json(), LABELS, {})
    with store.open(cell.to_json(), LABELS, {}, replace=True) as writer:
        assert store.runs()[0].status == "unfinished"
        writer.complete(tables, {"test_accuracy": 0.5})
    assert [run.summary["test_accuracy"] for run in store.runs()] == [0.5]
    assert [entry.name for entry in (store.root / "runs").iterdir()] == [cell.id]


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("name", ["run.json", "summary.json", "metrics.parquet"])
def test_a_damaged_run_is_taken_up_again(
    store: Store, cell: Cell, tables: Tables, name: str, replace: bool
) -> None:
    (complete(store, cell, tables) / name).write_text("{")
    with store.open(cell.to_json(), LABELS, {}, replace=replace) as writer:
        writer.complete(tables, {})
    (run,) = store.runs()
    assert run.status == "complete"


def test_reset_removes_one_run(store: Store, cell: Cell, other_cell: Cell, tables: Tables) -> None:
    complete(store, cell, tables)
    complete(store, other_cell, tables)
    store.reset(cell.id)
    store.reset(cell.id)
    assert [run.id for run in store.runs()] == [other_cell.id]


def test_one_writer_at_a_time(store: Store, cell: Cell, other_cell: Cell, tables: Tables) -> None:
    with store.open(cell.to_json(), LABELS, {}) as writer:
        for intrude in (
            lambda: store.open(cell.to_json(), LABELS, {}),
            lambda: store.open(cell.to_json(), LABELS, {}, replace=True),
            lambda: store.reset(cell.id),
        ):
            with pytest.raises(WorkError, match=f"is being run by process {os.getpid()} on "):
                intrude()
        complete(store, other_cell, tables)
    with pytest.raises(WorkError, match="closed"):
        writer.complete(tables, {})
    complete(store, cell, tables)


def test_a_lock_dies_with_its_process(store: Store, cell: Cell) -> None:
    code = (
        "import json, sys, time; from pathlib import Path; from pflbench.results import Store\n"
        "writer = Store(Path(sys.argv[1]), create=True).open(json.loads(sys.argv[2]), {}, {})\n"
        "print('open', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(store.root), json.dumps(cell.to_json())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "open\n"
            with pytest.raises(WorkError, match=f"process {other.pid} on "):
                store.open(cell.to_json(), {}, {})
        finally:
            other.kill()
    store.open(cell.to_json(), {}, {}).close()


@pytest.mark.parametrize(
    "name", ["..", "abc", "../../etc", "ABCDEF012345", "0" * 11, "0" * 12 + "/"]
)
def test_what_is_no_run_id_never_becomes_a_path(store: Store, name: str) -> None:
    for use in (store.get, store.reset):
        with pytest.raises(InputError, match="not a run id"):
            use(name)


@pytest.mark.parametrize("name", ["../metrics", "a/b", "", "Metrics"])
def test_what_is_no_table_name_never_becomes_a_path(
    store: Store, cell: Cell, tables: Tables, name: str
) -> None:
    complete(store, cell, tables)
    with pytest.raises(InputError, match="not a table's name"):
        store.runs()[0].table(name)
    with store.open(cell.to_json(), {}, {}, replace=True) as writer:
        with pytest.raises(InputError, match="not a table's name"):
            writer.complete({name: tables["metrics"]}, {})
        with pytest.raises(ValueError, match="not a name for a table"):
            writer.checkpoint(1, {}, {name: tables["metrics"]}, {})


def test_strangers_in_the_runs_folder_are_left_alone(
    store: Store, cell: Cell, tables: Tables
) -> None:
    complete(store, cell, tables)
    (store.root / "runs" / "notes").mkdir()
    (store.root / "runs" / "notes.txt").write_text("mine")
    assert len(store.runs()) == 1


DAMAGE = {
    "truncated run.json": ("run.json", b'{"cell": {', r"run\.json is damaged"),
    "run.json that is a list": ("run.json", b"[]", r"run\.json is damaged"),
    "run.json without a cell": ("run.json", b"{}", r"run\.json is damaged: expected"),
    "garbage run.json": ("run.json", b"\xff\xfe\x00", r"run\.json is damaged"),
    "truncated summary.json": ("summary.json", b'{"test_acc', r"summary\.json is damaged"),
    "empty summary.json": ("summary.json", b"", r"summary\.json is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(
    store: Store, cell: Cell, other_cell: Cell, tables: Tables, damage: str
) -> None:
    name, content, message = DAMAGE[damage]
    complete(store, other_cell, tables)
    folder = complete(store, cell, tables)
    (folder / name).write_bytes(content)
    check_damaged(store, cell, message, lost=name == "run.json")


def check_damaged(store: Store, cell: Cell, message: str, *, lost: bool = False) -> None:
    """Assert that a run is damaged, and that others can be read; it is `lost` without its cell."""
    run = store.get(cell.id)
    assert run is not None
    assert run.status == "damaged"
    assert not run.summary
    with pytest.raises(DamagedError, match=f"{message}.*give the command that made run {cell.id}"):
        run.check()
    with pytest.warns(DamagedRunWarning, match=message) if lost else nullcontext():
        there = store.runs()
    states = {one.id: one.status for one in there}
    assert states.pop(cell.id, "damaged") == "damaged"
    assert (cell.id in {one.id for one in there}) is not lost
    assert set(states.values()) <= {"complete"}


def test_another_schema_is_no_damage(store: Store, cell: Cell) -> None:
    newer = {**cell.to_json(), "schema": 99}
    folder = store.root / "runs" / digest(newer)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"cell": newer, "labels": {}}))
    with pytest.raises(InputError, match="schema is 99"):
        store.runs()


def test_a_run_under_another_name_is_damage(store: Store, cell: Cell, tables: Tables) -> None:
    folder = complete(store, cell, tables)
    folder.rename(folder.with_name("0" * 12))
    with pytest.warns(DamagedRunWarning, match=f"describes run {cell.id}"):
        assert not store.runs()


def test_a_changed_cell_is_damage(store: Store, cell: Cell, tables: Tables) -> None:
    path = complete(store, cell, tables) / "run.json"
    path.write_text(path.read_text().replace('"rounds": 10', '"rounds": 11'))
    check_damaged(store, cell, "describes run", lost=True)


def test_a_missing_run_json_is_damage(store: Store, cell: Cell, tables: Tables) -> None:
    (complete(store, cell, tables) / "run.json").unlink()
    check_damaged(store, cell, r"run\.json is missing", lost=True)


def test_a_link_or_a_pipe_for_a_file_is_damage(store: Store, cell: Cell, tables: Tables) -> None:
    for name in ("summary.json", "metrics.parquet", "environment.json"):
        path = complete(store, cell, tables) / name
        aside = path.rename(store.root / name)
        path.symlink_to(aside)
        check_damaged(store, cell, f"{name} is damaged: it is a link, and a plain file is")
        path.unlink()
        os.mkfifo(path)
        check_damaged(store, cell, f"{name} is damaged: it is a pipe, and a plain file is")


def test_a_run_whose_folder_cannot_be_read_hides_no_other(
    store: Store, cell: Cell, other_cell: Cell, tables: Tables, unreadable: Callable[[Path], None]
) -> None:
    complete(store, cell, tables)
    closed = complete(store, other_cell, tables)
    unreadable(closed)
    assert set(store.ids()) == {cell.id, other_cell.id}
    with pytest.warns(DamagedRunWarning, match=rf"{closed.name} cannot be read: .*denied\.$"):
        (run,) = store.runs()
    assert run.id == cell.id
    lost = store.get(other_cell.id)
    assert lost is not None
    assert lost.status == "damaged"


def test_whatever_was_added_or_changed_since_the_end_is_damage(
    store: Store, cell: Cell, tables: Tables
) -> None:
    folder = complete(store, cell, tables)
    write_table(folder / "rounds.parquet", tables["rounds"][:1])
    check_damaged(store, cell, r"rounds\.parquet is damaged: it is not as it was written")
    folder = complete(store, cell, tables)
    write_table(folder / "onboarding.parquet", tables["rounds"])
    check_damaged(store, cell, r"onboarding\.parquet is not of the run")
    path = complete(store, cell, tables) / "summary.json"
    path.write_text(path.read_text().replace("0.75", "0.76"))
    check_damaged(store, cell, r"summary\.json is damaged")


@pytest.mark.parametrize("spoil", [lambda b: b[:-40], lambda b: b"garbage", lambda b: b""])
def test_a_damaged_table_is_named(store: Store, cell: Cell, tables: Tables, spoil: object) -> None:
    path = complete(store, cell, tables) / "metrics.parquet"
    path.write_bytes(spoil(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(InputError, match=r"metrics\.parquet is damaged"):
        store.runs()[0].table("metrics")


def test_a_flipped_bit_in_a_table_is_noticed(store: Store, cell: Cell, tables: Tables) -> None:
    path = complete(store, cell, {"metrics": pd.DataFrame({"x": range(5000)})}) / "metrics.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"metrics\.parquet is damaged"):
        store.runs()[0].table("metrics")


def test_only_the_columns_asked_for(store: Store, cell: Cell, tables: Tables) -> None:
    complete(store, cell, tables)
    run = store.runs()[0]
    assert list(run.table("metrics", ["client", "correct"]).columns) == ["client", "correct"]
    with pytest.raises(InputError, match="has no column nonsense"):
        run.table("metrics", ["nonsense"])


def refused(root: Path, message: str, *, create: bool = True) -> None:
    before = sorted(root.parent.rglob("*"))
    with pytest.raises(InputError, match=message):
        Store(root, create=create)
    assert sorted(root.parent.rglob("*")) == before


def test_a_file_is_no_results_folder(root: Path) -> None:
    root.write_text("hello")
    refused(root, "is a file")


def test_below_a_file_there_is_no_results_folder(root: Path) -> None:
    root.write_text("hello")
    refused(root / "below", "is a file|Not a directory")


def test_reading_needs_a_folder(root: Path) -> None:
    refused(root, "There is no results folder", create=False)
    root.mkdir()
    refused(root, "not a results folder", create=False)


def test_a_folder_of_something_else_is_refused(root: Path) -> None:
    root.mkdir()
    (root / "thesis.tex").write_text("\\end{document}")
    refused(root, r"not a results folder: it has no pflbench\.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": "another tool", "version": 1}', "belongs to something else"),
        ('{"format": "pflbench results", "version": 2}', "version 2"),
        ('{"format": "pflb', "damaged"),
        ("[1]", "damaged"),
        ("[" * 100_000, "damaged"),
    ],
)
def test_markers_that_are_not_ours(root: Path, content: str, message: str) -> None:
    root.mkdir()
    (root / "pflbench.json").write_text(content)
    refused(root, message)
    refused(root, message, create=False)


def test_a_file_where_the_runs_should_be(store: Store, cell: Cell, tables: Tables) -> None:
    complete(store, cell, tables)
    (store.root / "runs").rename(store.root / "old")
    (store.root / "runs").write_text("")
    refused(store.root, "runs is not a folder")


def test_a_folder_that_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    # Permissions do not bind the superuser, whom tests may run as.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    refused(root, "cannot be written")
    refused(root / "new", "cannot be written")


def test_a_folder_that_cannot_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.R_OK)
    refused(root, "cannot be read", create=False)


def test_reading_results_needs_no_torch(store: Store, cell: Cell, tables: Tables) -> None:
    complete(store, cell, tables)
    code = (
        "import sys; from pathlib import Path; from pflbench.results import Store\n"
        "import pflbench.analysis\n"
        "assert Store(Path(sys.argv[1])).runs()[0].arrow('metrics').num_rows == 4\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(store.root)], check=True)
