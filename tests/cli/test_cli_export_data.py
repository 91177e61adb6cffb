"""`pflbench export-data`: a federation in another suite's layout, run from there."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import SMALL, Call


@pytest.mark.parametrize("layout", ["pfllib", "parquet"])
def test_what_was_exported_runs(layout: str, pflbench: Call, folder: Path, data: str) -> None:
    done = pflbench("export-data", "fed", "--layout", layout, "--dataset", data, "--clients", "3")
    assert done.exit_code == 0, done.stderr
    assert "wrote fed: " in done.stderr
    assert f"--dataset {layout}:fed reads it" in done.stderr
    again = pflbench("run", "--algo", "local", "--dataset", f"{layout}:fed", *SMALL)
    assert again.exit_code == 0, again.stderr
    refused = pflbench("export-data", "fed", "--layout", layout, "--dataset", data)
    assert (refused.exit_code, "exists already" in refused.stderr) == (2, True)
    refused = pflbench("export-data", "fed2", "--layout", "pflib", "--dataset", data)
    assert (refused.exit_code, "Did you mean 'pfllib'" in refused.stderr) == (2, True)
    assert not Path("fed2").exists()
