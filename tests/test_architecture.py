"""The house: imports run down, in no circle, and names say where one is."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def house() -> ModuleType:
    """Return the script that reads the imports."""
    spec = importlib.util.spec_from_file_location("house", ROOT / "tools" / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def read(house: ModuleType) -> Any:
    """Return the house as it is."""
    return house.read_house()


def test_rooms_are_few_and_import_in_no_circle(read: Any) -> None:
    assert read.circles == []
    assert read.files == []
    assert len(read.lines) <= 24
    assert max(read.floors.values()) <= 11


def test_no_import_runs_upward(read: Any) -> None:
    """The order of the floors is also the order in which docs/architecture.md names them."""
    for (room, imported), why in read.arrows.items():
        assert read.floors[room] > read.floors[imported], why


def test_a_circle_and_an_upward_import_are_found(house: ModuleType, tmp_path: Path) -> None:
    for room, imported in (("low", "high"), ("high", "low"), ("top", "high")):
        folder = tmp_path / "pflbench" / room
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text('"""A room."""\n')
        (folder / f"of_{room}.py").write_text(f"from pflbench.{imported} import of_{imported}\n")
    (tmp_path / "pflbench" / "__init__.py").write_text('"""The door."""\n')
    read = house.read_house(tmp_path)
    assert read.circles == [["pflbench.high", "pflbench.low"]]
    assert read.files == [["pflbench.high.of_high", "pflbench.low.of_low"]]
    assert read.floors["pflbench.top"] == 2


def test_no_file_name_is_there_twice(house: ModuleType) -> None:
    names = Counter(
        path.name
        for path in house.modules().values()
        if path.name not in ("__init__.py", "__main__.py")
    )
    assert [name for name, times in names.items() if times > 1] == []


def test_files_are_short(house: ModuleType) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in house.modules().values()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 430
    }
    assert long == {}


def test_the_core_imports_no_plugin_of_its_own() -> None:
    """Methods and data sets are found by entry points, whoever brings them."""
    for path in (ROOT / "pflbench").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert not words[1].startswith(("pflbench_algorithms", "pflbench_datasets")), path
