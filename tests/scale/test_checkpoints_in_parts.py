"""Checkpoints of large states: written and read part by part, and not more often than they cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from small_federations import federation_of
from torch import Tensor

import pflbench
from pflbench.results import Store
from pflbench.results.checkpoint import CheckpointWarning, restore, save
from pflbench.runs import Observer, execution


def test_a_part_is_written_before_the_next_is_asked_for(tmp_path: Path) -> None:
    def parts() -> Iterator[dict[str, Tensor]]:
        for i in range(3):
            assert len(list(tmp_path.glob("*/part-*"))) == i
            yield {"x": torch.full((2,), float(i)), "same": torch.tensor(i)}

    save(tmp_path, 7, {"x": torch.ones(1)}, {"t": pd.DataFrame({"a": [1]})}, {}, parts())
    back = restore(tmp_path)
    assert back is not None
    assert back.round == 7
    assert back.tensors["x"].tolist() == [1]
    assert [(p["x"].tolist(), int(p["same"])) for p in back.parts()] == [
        ([i, i], i) for i in (0.0, 1.0, 2.0)
    ]


@pytest.mark.parametrize("damage", ["missing", "other bytes", "one too many"])
def test_a_damaged_part_is_a_damaged_checkpoint(damage: str, tmp_path: Path) -> None:
    save(tmp_path, 1, {}, {}, {}, [{"x": torch.ones(5)}, {"x": torch.zeros(5)}])
    part = next(tmp_path.glob("*/part-000002*"))
    if damage == "missing":
        part.unlink()
    elif damage == "other bytes":
        content = part.read_bytes()
        part.write_bytes(content[:-1] + b"\x01")
    else:
        manifest = part.with_name("manifest.json")
        manifest.write_text(manifest.read_text().replace('"parts": 2', '"parts": 3'))
    with pytest.warns(CheckpointWarning, match="damaged"):
        assert restore(tmp_path) is None


def test_parts_that_fail_leave_the_checkpoint_before(tmp_path: Path) -> None:
    def parts() -> Iterator[dict[str, Tensor]]:
        yield {"x": torch.ones(5)}
        raise KeyboardInterrupt

    save(tmp_path, 1, {}, {}, {}, [{"x": torch.ones(5)}])
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 2, {}, {}, {}, parts())
    back = restore(tmp_path)
    assert back is not None
    assert back.round == 1
    assert len(list(tmp_path.iterdir())) == 1


class Interrupts(Observer):
    def __init__(self, after: int) -> None:
        self.after, self.start = after, -1

    def started(self, info: Any) -> None:
        self.start = info.start_round

    def round_done(self, progress: Any) -> None:
        if progress.round == self.after:
            raise KeyboardInterrupt


@pytest.mark.mostly_slow("[fedora]")
@pytest.mark.parametrize("method", ["local", "fedora", "pfedhn-pc"])
def test_a_run_with_its_rows_in_files_is_resumed_from_parts(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = federation_of([5] * 12)
    options: dict[str, Any] = {"rounds": 6, "eval_every": 2, "participation": 0.3}
    whole = pflbench.run(method, federation, **options)
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr("pflbench.method.storage.MEMORY", 0)
    monkeypatch.setattr("pflbench.method.storage._BLOCK", 2 * 4 * 50_000)
    monkeypatch.setattr("pflbench.engine.snapshot._SMALL_PART", 0)
    stops = Interrupts(4)
    with pytest.raises(KeyboardInterrupt):
        pflbench.run(method, federation, results=tmp_path, observers=[stops], **options)
    (run,) = Store(tmp_path).runs()
    parts = list(run.folder.glob("checkpoint/*/part-*"))
    assert len(parts) >= {"local": 2, "fedora": 4, "pfedhn-pc": 1}[method]
    assert not list(run.folder.glob(".rows*")), "rows' files have no name"
    again = Interrupts(99)
    resumed = pflbench.run(method, federation, results=tmp_path, observers=[again], **options)
    assert again.start == 3
    pd.testing.assert_frame_equal(resumed.metrics, whole.metrics, check_exact=True)


def test_costly_checkpoints_are_written_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes ten times what it should is waited for ten times as long."""
    written: list[float] = []
    real = execution._Execution._save

    def note(self: Any) -> None:
        real(self)
        written.append(self.save_after)

    monkeypatch.setattr(execution._Execution, "_save", note)
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", 0.001)
    for cost, often in ((1000.0, True), (1e-9, False)):
        written.clear()
        monkeypatch.setattr(execution, "CHECKPOINT_COST", cost)
        pflbench.run("fedavg", federation_of(), rounds=12, results=tmp_path / str(often))
        assert (len(written) > 5) == often
        assert (written[0] == 0.001) == often
    assert written[0] > 10
