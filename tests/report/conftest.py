"""Small runs of the real thing, and reports of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from document import Report
from reported import OPTIONS, SCENARIOS, SEEDS

import pflbench
from pflbench.cli.main import main
from pflbench.errors import DivergedError


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenarios of three classes in six dimensions, and a run that diverged."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = (rng.normal(size=(240, 6)) + 2 * np.eye(6)[y]).astype(np.float32)
    np.savez(folder / "points.npz", x=x, y=y)
    made = folder / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("PFLBENCH_RESULTS", raising=False)
        for partition, methods in SCENARIOS.items():
            for method, parameters in methods.items():
                for seed in range(SEEDS[partition]):
                    pflbench.run(
                        method,
                        "npz:points.npz",
                        results=made,
                        partition=partition,
                        seed=seed,
                        parameters=parameters,
                        **OPTIONS,
                    )
        with pytest.raises(DivergedError):
            pflbench.run(
                "fedavg",
                "npz:points.npz",
                results=made,
                partition="iid",
                seed=0,
                parameters={"local_lr": 1e30},
                **OPTIONS,
            )
    return made


@pytest.fixture(scope="session")
def write(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Return a function that writes a report through the command line and reads the file."""
    folder = tmp_path_factory.mktemp("pages")

    def make(results: Path, *options: str) -> str:
        out = folder / "report.html"
        arguments = ["report", "--results", str(results), "--out", str(out), *options]
        found = CliRunner().invoke(main, arguments)
        assert found.exit_code == 0, found.output
        return out.read_text("utf-8")

    return make


@pytest.fixture(scope="session")
def page(results: Path, write: Report) -> str:
    return write(results)
