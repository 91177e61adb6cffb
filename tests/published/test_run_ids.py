"""The id of every stored run follows from its cell: a field that changes an identity shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pflbench.results import Store

ROOT = Path(__file__).parents[2]
FOLDERS = sorted({path.parents[1] for path in (ROOT / "results").rglob("runs/*/run.json")})


def test_there_are_stored_runs() -> None:
    assert len(FOLDERS) >= 2


@pytest.mark.parametrize("runs", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_ids_follow_from_stored_cells(runs: Path) -> None:
    stored = Store(runs.parent).runs()
    assert stored
    for run in stored:
        assert run.typed_cell.to_json() == run.cell
        assert run.typed_cell.id == run.id == run.folder.name
        assert run.typed_cell.scenario.to_json() == run.cell["scenario"]
