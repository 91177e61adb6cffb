"""A disk that fails at any point: an error, no half-written file, nothing finished harmed."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from pflbench.errors import WorkError
from pflbench.results import Store, StoredRun
from pflbench.schema.scenario import Cell

Tables = dict[str, pd.DataFrame]
Act = Callable[[Store, Cell, Tables], StoredRun]


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, at: int | None) -> Iterator[list[str]]:
    """Let the `at`-th writing call fail (None: only list the calls, in the list yielded)."""
    calls: list[str] = []

    def strike(name: str) -> bool:
        calls.append(name)
        return at is not None and len(calls) - 1 == at

    def failing(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if name == "mkdir" and Path(args[0]).exists():
                return real(*args, **options)  # takes no space
            if strike(name):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **options)

        return call

    def half_written(name: str, real: Callable[..., Any], path_at: int) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            result = real(*args, **options)
            if strike(name):
                target = args[path_at]
                if hasattr(target, "flush"):  # an open file
                    target.flush()
                    target = target.name
                path = Path(target)
                os.truncate(path, path.stat().st_size // 2)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return result

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "replace", "mkdir"):
            patch.setattr(os, name, failing(name, getattr(os, name)))
        patch.setattr(Path, "write_bytes", half_written("json", Path.write_bytes, 0))
        patch.setattr(pq, "write_table", half_written("parquet", pq.write_table, 1))
        save = safetensors.torch.save_file
        patch.setattr(safetensors.torch, "save_file", half_written("tensors", save, 1))
        yield calls


def run_through(store: Store, cell: Cell, tables: Tables) -> StoredRun:
    with store.open(cell.to_json(), {}, {}) as writer:
        writer.checkpoint(1, {"x": torch.ones(8)}, tables, {"r": 1})
        writer.checkpoint(2, {"x": torch.ones(8)}, tables, {"r": 2})
        return writer.complete(tables, {"test_accuracy": 0.5})


def run_and_fail(store: Store, cell: Cell, tables: Tables) -> StoredRun:
    with store.open(cell.to_json(), {}, {}) as writer:
        return writer.fail(tables, {"error": "DivergedError"})


def run_again(store: Store, cell: Cell, tables: Tables) -> StoredRun:
    with store.open(cell.to_json(), {}, {}, replace=True) as writer:
        return writer.complete(tables, {"test_accuracy": 0.5})


ACTS: dict[str, tuple[Act, str]] = {
    "a whole run": (run_through, "complete"),
    "a failed run": (run_and_fail, "failed"),
    "a rerun": (run_again, "complete"),
}


@pytest.mark.mostly_slow("a rerun")
@pytest.mark.parametrize("act", ACTS)
def test_no_space_at_any_point(
    tmp_path: Path,
    cell: Cell,
    other_cell: Cell,
    tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
    act: str,
) -> None:
    do, status = ACTS[act]
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow, and not what is tested
    store = Store(tmp_path / "dry", create=True)
    run_through(store, other_cell, tables)
    with full_disk(monkeypatch, None) as calls:
        do(store, cell, tables)
    assert {"fsync", "replace", "mkdir", "json", "parquet"} <= set(calls)
    for at in range(len(calls)):
        store = Store(tmp_path / str(at), create=True)
        run_through(store, other_cell, tables)
        with (
            full_disk(monkeypatch, at),
            pytest.raises(WorkError, match=r"could not be written to .*No space left"),
        ):
            do(store, cell, tables)
        check_whole(Store(store.root), other_cell, tables)
        there = store.get(cell.id)
        if there is None or there.status == "unfinished":  # room again: the same goes through
            there = do(store, cell, tables)
            assert not list(store.root.rglob("*.tmp"))
        assert there is not None
        assert there.status == status


def check_whole(store: Store, finished: Cell, tables: Tables) -> None:
    """Assert that the finished run is all there and nothing else claims to be."""
    for run in store.runs():
        if run.id == finished.id:
            assert run.status == "complete"
            assert run.summary == {"test_accuracy": 0.5}
            pd.testing.assert_frame_equal(run.table("metrics"), tables["metrics"])
        elif run.status != "unfinished":
            assert len(run.table("metrics")) == len(run.table("rounds")) * 2 == 4
    assert finished.id in [run.id for run in store.runs()]


def test_a_rerun_that_cannot_start_keeps_the_old_run(
    store: Store, cell: Cell, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_through(store, cell, tables)

    def start() -> None:
        store.open(cell.to_json(), {"dataset": "new"}, {}, replace=True).close()

    with full_disk(monkeypatch, None) as calls, monkeypatch.context() as patch:
        patch.setattr("pflbench.results.store.start", lambda *_: None)
        start()
    before = len(calls)  # calls that are the lock's
    for at in range(before, before + 20):
        with full_disk(monkeypatch, at), pytest.raises(WorkError):
            start()
        if store.runs()[0].labels.get("dataset") == "new":
            break  # in place, and only the folder's entry was not synced
        check_whole(store, cell, tables)
    else:
        pytest.fail("the new run never came into place")


def test_a_checkpoint_that_fails_leaves_the_one_before(
    store: Store, cell: Cell, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.open(cell.to_json(), {}, {}) as writer:
        writer.checkpoint(1, {"x": torch.ones(8)}, tables, {})
        at = 0
        while True:
            with full_disk(monkeypatch, at):
                try:
                    writer.checkpoint(2, {"x": torch.zeros(8)}, tables, {})
                    break
                except WorkError:
                    pass
            back = writer.restore()
            assert back is not None
            if back.round == 2:
                break  # the new one is whole: what failed was removing the old one
            assert torch.equal(back.tensors["x"], torch.ones(8))
            at += 1
        assert at > 10


_LIMITED = """
import json, resource, signal, sys
from pathlib import Path
import pandas as pd, torch
from pflbench.errors import WorkError
from pflbench.results import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = Store(Path(sys.argv[1]), create=True).open(json.loads(sys.argv[2]), {}, {})
writer.checkpoint(1, {"x": torch.ones(10)}, {}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
big = pd.DataFrame({"x": torch.randn(100_000).numpy()})
for act in (
    lambda: writer.checkpoint(2, {"x": torch.ones(1_000_000)}, {}, {}),
    lambda: writer.checkpoint(2, {}, {"big": big}, {}),
    lambda: writer.checkpoint(2, {}, {}, {"text": "x" * 50_000}),
    lambda: writer.complete({"metrics": big}, {}),
):
    try:
        act()
    except WorkError as error:
        print(error)
    else:
        sys.exit("nothing failed")
assert writer.restore().round == 1
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are of POSIX systems")
def test_a_limit_of_the_system_itself(store: Store, cell: Cell) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(store.root), json.dumps(cell.to_json())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("Results could not be written to ") for line in lines)
    (run,) = store.runs()
    assert run.status == "unfinished"
