"""Results to draw: the published ones, and one board of twenty rows with long names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from drawn_results import PUBLISHED, Drawn, opened
from made_runs import SAMPLES, write

from pflbench.cli.main import main


@pytest.fixture(scope="session")
def published() -> Drawn:
    return opened(PUBLISHED)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Two methods and the baseline, two seeds, three rounds, four clients: numbers to work out."""
    root = tmp_path_factory.mktemp("small") / "results"
    for seed in (0, 1):
        base = np.array([[4, 5, 6, 7], [8, 8, 9, 11], [10, 10, 10, 10 + seed]])
        write(root, "local", base, seed=seed, traffic=0)
        write(root, "helper", base + 4, seed=seed, traffic=1_000_000, seconds=3)
        write(root, "mixed", base + np.array([-3, -1, 2, 6]), seed=seed, traffic=40_000_000)
    return opened(root)


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Twenty rows: variants of some methods, with long names; seventy clients."""
    root = tmp_path_factory.mktemp("crowd") / "results"
    rng = np.random.default_rng(0)
    rows = [("local", {}), ("fedavg", {}), ("fedavg-ft", {})]
    rows += [
        ("personalized-method", {"a_first_rate": a, "another_number": b, "neighbours": 4})
        for a in (0.001, 0.01, 0.1)
        for b in (1, 2)
    ]
    rows += [(f"method-{i}", {}) for i in range(11)]
    for place, (name, parameters) in enumerate(rows):
        level = 0.35 + 0.02 * place
        for seed in (0, 1):
            chance = level + 0.05 * rng.normal(size=(6, 70)) + np.linspace(0, 0.2, 6)[:, None]
            correct = rng.binomial(SAMPLES, np.clip(chance, 0.02, 0.98))
            write(
                root,
                name,
                correct,
                seed=seed,
                parameters=parameters,
                classes=10,
                traffic=0 if name == "local" else 1000 * 2 ** (place % 6),
            )
    return opened(root)


@pytest.fixture
def plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that calls `pflbench plot` in an empty folder, the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PFLBENCH_RESULTS", raising=False)

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(main, ["plot", *map(str, arguments)])

    return call
