"""The page on matrices says of the file what is read from it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from documents import DOCS, ROOT, blocks, section, table

from pflbench.experiments.grid import read_matrix
from pflbench.experiments.grid.estimate import BASE_BYTES, BASES, ROWS
from pflbench.experiments.grid.reading import FILE_KEYS, TUNING_KEYS
from pflbench.schema.scenario_fields import scenario_fields

PAGE = DOCS / "matrix.md"


def test_every_key_of_the_file_is_in_a_table() -> None:
    for heading, keys in (("The file", FILE_KEYS), ("Tuning", TUNING_KEYS)):
        rows = table(section(PAGE, heading))
        assert tuple(row["Key"] for row in rows) == keys
        assert all(row["Meaning"] for row in rows)


@pytest.mark.parametrize("page", ["command-line.md", "matrix.md"])
def test_the_tables_of_scenario_fields_are_those_that_the_tool_writes(page: str) -> None:
    found = importlib.util.spec_from_file_location("tables", ROOT / "tools" / "tables.py")
    assert found is not None
    assert found.loader is not None
    tables = importlib.util.module_from_spec(found)
    found.loader.exec_module(tables)
    text = (DOCS / page).read_text("utf-8")
    assert len(tables.rows(page)) == len(scenario_fields()) >= 20
    assert text == tables.rewritten(page, text), "run: python tools/tables.py"


def test_the_file_that_is_shown_is_what_is_said_of_it(tmp_path: Path) -> None:
    (block,) = blocks(PAGE, "toml")
    (tmp_path / "paper.toml").write_text(block.text, "utf-8")
    matrix = read_matrix(tmp_path / "paper.toml")
    assert (len(matrix.seeds), len(matrix.methods), len(matrix.scenarios)) == (3, 5, 6)
    assert "3 seeds of 5 methods in 6 scenarios" in section(PAGE, "The file")
    assert len(list(matrix.points())) == 3 * (5 * 6 - 2)
    assert matrix.tuning is not None


def test_estimates_stand_on_what_is_said() -> None:
    text = " ".join(section(PAGE, "Before it runs").split())
    assert len(BASES) == sum(f" {i}. " in text for i in range(1, 9))
    assert f"{BASE_BYTES / 1e9:g} GB, the data, and three rows" in text
    assert ROWS == 3


def test_the_example_is_one_of_a_minute() -> None:
    matrix = read_matrix(ROOT / "examples" / "matrix.toml")
    assert len(list(matrix.points())) == 2 * (3 * 5 - 1)
