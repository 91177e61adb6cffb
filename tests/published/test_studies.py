"""The studies' tables are what the studies' runs give."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from pflbench.results import Store

ROOT = Path(__file__).parents[2]


STUDIES = ROOT / "studies"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_study", STUDIES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STUDIES))  # as for a script that is run from there
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def study() -> ModuleType:
    return load("fedora")


@pytest.mark.mostly_slow("comparison")
@pytest.mark.parametrize("name", ["fedora", "comparison"])
def test_the_tables_regenerate_from_the_runs(name: str) -> None:
    study = load(name)
    text, tables = study.PAGE.read_text(), study.tables()
    assert study.pages.filled(text, tables) == text
    assert set(re.findall(r"<!-- table: (\w+) -->", text)) == set(tables)


def test_every_run_is_there_and_complete(study: ModuleType) -> None:
    """As many as the commands say: no row of a table stands on fewer seeds."""
    runs = Store(study.RUNS).runs()
    assert {run.status for run in runs} == {"complete"}
    script = (STUDIES / "fedora.sh").read_text()
    cells, methods = 0, len(study.METHODS)
    for line in script.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] != ["run"]:
            continue
        text = " ".join(words)
        times = 5 if "$measure" in text else 3 if "$share" in text or "$noise" in text else 1
        algorithms = methods if "$all" in text else len(words[words.index("--algo") + 1].split(","))
        cells += 2 * times * algorithms
    assert len(runs) == cells
    assert {run.cell["seed"] for run in runs} == {0, 1}


def test_the_runs_keep_their_identity(study: ModuleType) -> None:
    for run in Store(study.RUNS).runs():
        assert run.typed_cell.id == run.id
        assert run.typed_cell.to_json() == run.cell
