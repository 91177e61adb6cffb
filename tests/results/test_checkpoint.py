"""Checkpoints: what they give back, and what a killed or damaged one does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pflbench.results import Store
from pflbench.results.checkpoint import CheckpointWarning
from pflbench.schema.scenario import Cell

Tables = dict[str, pd.DataFrame]


def folders(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoint").iterdir())


def test_a_checkpoint_gives_everything_back(store: Store, cell: Cell, tables: Tables) -> None:
    shared = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "clients/momentum": shared,
        "clients/column": shared[:, 1],
        "same": shared,
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "learnt": torch.ones(2, requires_grad=True),
    }
    counters = {"seconds": 1.25, "best": float("-inf"), "seen": {"0": [1, 2]}, "numpy": np.int64(3)}
    with store.open(cell.to_json(), {}, {}) as writer:
        assert writer.restore() is None
        writer.checkpoint(20, tensors, tables, counters)
    with store.open(cell.to_json(), {}, {}) as writer:
        back = writer.restore()
    assert back is not None
    assert back.round == 20
    assert back.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back.tensors[name].dtype == tensor.dtype
        assert torch.equal(back.tensors[name], tensor.detach())
    assert back.counters == {**counters, "numpy": 3}
    pd.testing.assert_frame_equal(back.tables["metrics"], tables["metrics"])
    assert [list(c) for c in back.tables["rounds"]["cohort"]] == [[0, 1], [1]]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    counters=st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    ),
    values=st.lists(st.floats(width=32), max_size=5),
)
def test_any_state_survives(
    store: Store, cell: Cell, counters: dict[str, object], values: list[float]
) -> None:
    tensor = torch.tensor(values, dtype=torch.float32)
    with store.open(cell.to_json(), {}, {}, replace=True) as writer:
        writer.checkpoint(1, {"x": tensor}, {"empty": pd.DataFrame()}, counters)
        back = writer.restore()
    assert back is not None
    assert back.counters == counters
    assert back.tensors["x"].numpy().tobytes() == tensor.numpy().tobytes()
    assert len(back.tables["empty"]) == 0


def test_the_latest_checkpoint_counts_and_the_run_ends_without(
    store: Store, cell: Cell, tables: Tables
) -> None:
    with store.open(cell.to_json(), {}, {}) as writer:
        for round in (1, 2, 3, 3):
            writer.checkpoint(round, {"x": torch.tensor(round)}, {}, {})
            assert len(folders(writer.folder)) == 1
        back = writer.restore()
        assert back is not None
        assert (back.round, int(back.tensors["x"])) == (3, 3)
        run = writer.complete(tables, {})
    assert not (run.folder / "checkpoint").exists()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "garbage": lambda content: b"\x80\x04garbage" * 20,
    "flipped": lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
}
FILES = ("tensors.safetensors", "counters.json", "metrics.parquet", "manifest.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over(
    store: Store, cell: Cell, tables: Tables, name: str, damage: str
) -> None:
    with store.open(cell.to_json(), {}, {}) as writer:
        writer.checkpoint(10, {"x": torch.ones(3)}, tables, {})
        (only,) = folders(writer.folder)
        path = only / name
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
        with pytest.warns(CheckpointWarning, match="starts again"):
            assert writer.restore() is None
        writer.checkpoint(5, {"x": torch.zeros(3)}, tables, {})
        back = writer.restore()
    assert back is not None
    assert back.round == 5


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_damage(store: Store, cell: Cell, tables: Tables, name: str) -> None:
    with store.open(cell.to_json(), {}, {}) as writer:
        writer.checkpoint(10, {"x": torch.ones(3)}, tables, {})
        (folders(writer.folder)[0] / name).unlink()
        with pytest.warns(CheckpointWarning):
            assert writer.restore() is None


def test_an_older_checkpoint_stands_in(
    store: Store, cell: Cell, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.open(cell.to_json(), {}, {}) as writer:
        writer.checkpoint(10, {"x": torch.ones(3)}, tables, {})
        # As if killed after the new one was in place and before the old one was removed.
        monkeypatch.setattr("pflbench.results.checkpoint.remove_folder", lambda folder: None)
        writer.checkpoint(20, {"x": torch.ones(3)}, tables, {})
        _, newer = folders(writer.folder)
        (newer / "tensors.safetensors").write_bytes(b"")
        with pytest.warns(CheckpointWarning, match="an older one is used"):
            back = writer.restore()
    assert back is not None
    assert back.round == 10


@pytest.mark.parametrize("tables", [["../../x"], [3], "metrics", None])
def test_a_manifest_cannot_name_other_files(store: Store, cell: Cell, tables: object) -> None:
    with store.open(cell.to_json(), {}, {}) as writer:
        writer.checkpoint(10, {}, {}, {})
        path = folders(writer.folder)[0] / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "tables": tables}))
        with pytest.warns(CheckpointWarning, match=r"manifest\.json is damaged"):
            assert writer.restore() is None


_CHECKPOINTING = """
import json, sys
from pathlib import Path
import pandas as pd, torch
from pflbench.results import Store
writer = Store(Path(sys.argv[1]), create=True).open(json.loads(sys.argv[2]), {}, {})
back = writer.restore()
round = back.round if back else 0
print("open", flush=True)
while True:
    round += 1
    x = torch.full((200_000,), float(round))
    writer.checkpoint(round, {"x": x}, {"t": pd.DataFrame({"r": [round]})}, {"r": round})
    print(round, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is of POSIX systems")
def test_killed_while_checkpointing(store: Store, cell: Cell) -> None:
    command = [sys.executable, "-c", _CHECKPOINTING, str(store.root), json.dumps(cell.to_json())]
    reached = 0
    for pause in (0.003, 0.011):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "open\n"
            said = int(other.stdout.readline())
            time.sleep(pause)
            os.kill(other.pid, signal.SIGKILL)
            said = int(([str(said), *other.stdout.read().split()])[-1])
        with store.open(cell.to_json(), {}, {}) as writer:
            back = writer.restore()
            assert back is not None
            assert reached < said <= back.round <= said + 1
            assert torch.equal(back.tensors["x"], torch.full((200_000,), float(back.round)))
            assert back.tables["t"]["r"].tolist() == [back.round]
            assert back.counters == {"r": back.round}
            assert not list(writer.folder.rglob("*.tmp"))
            reached = back.round
