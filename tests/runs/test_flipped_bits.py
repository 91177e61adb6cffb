"""A flipped bit in any file of a stored run: no error of ours, and never another accuracy."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

import pflbench
from pflbench import Federation
from pflbench.analysis import boards
from pflbench.cli.main import main
from pflbench.results import Store
from pflbench.results.store import DamagedRunWarning

FLIPS = 16
"""In each file."""


def accuracies(store: Store) -> dict[str, float | None]:
    """Return the accuracy of every row of the one board, None where it has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedRunWarning)
        runs = store.runs()
    (board,) = boards(runs, lambda name: {})
    rows = [row for row in board.rows if row.run_ids]
    return {row.algorithm: row.measures and row.measures.test_accuracy for row in rows}


@pytest.fixture(params=["sealed", "of an earlier version"])
def stored(request: pytest.FixtureRequest, federation: Federation, results: Path) -> Path:
    """Return the folder of one of two runs; those of earlier versions have no digests."""
    for method in ("local", "fedavg"):
        folder = pflbench.run(method, federation, rounds=2, results=results).folder
        assert folder is not None
        if request.param != "sealed":
            path = folder / "summary.json"
            summary = json.loads(path.read_text())
            del summary["sha256"]
            path.write_text(json.dumps(summary))
    return folder


@pytest.mark.slow
def test_a_flipped_bit_changes_no_accuracy_and_stops_no_board(stored: Path) -> None:
    store = Store(stored.parent.parent)
    before = accuracies(store)
    rng = random.Random(0)
    for path in sorted(stored.iterdir()):
        whole = path.read_bytes()
        for _ in range(FLIPS):
            content = bytearray(whole)
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(content)
            found = accuracies(store)
            assert found["local"] == before["local"], path.name
            assert found.get("fedavg") in (None, before["fedavg"]), path.name
        for command in ("status", "leaderboard"):
            done = CliRunner().invoke(main, [command, "--results", str(store.root)])
            assert done.exit_code == 0, done.stderr
            assert "itself" not in done.stderr
            assert "Traceback" not in done.stderr
        path.write_bytes(whole)
    assert accuracies(store) == before
