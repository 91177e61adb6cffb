"""The page on matrices says of the file what is read from it."""

from __future__ import annotations

from pathlib import Path

from documents import DOCS, ROOT, blocks, section, table

from pflbench.experiments.grid import read_matrix
from pflbench.experiments.grid.estimate import BASE_BYTES, BASES, ROWS
from pflbench.experiments.grid.keys import ScenarioKeys
from pflbench.experiments.grid.reading import FILE_KEYS, TUNING_KEYS
from pflbench.schema.parameters import describe_parameters

PAGE = DOCS / "matrix.md"


def test_every_key_of_the_file_is_in_a_table() -> None:
    for heading, keys in (("The file", FILE_KEYS), ("Tuning", TUNING_KEYS)):
        rows = table(section(PAGE, heading))
        assert tuple(row["Key"] for row in rows) == keys
        assert all(row["Meaning"] for row in rows)


def test_the_keys_of_a_scenario_are_told_with_their_bounds() -> None:
    rows = {row["Key"]: row for row in table(section(PAGE, "Scenarios"))}
    infos = describe_parameters(ScenarioKeys)
    assert list(rows) == [info.name for info in infos]
    for info in infos:
        kind = info.type.removesuffix(" or none")
        expected = f"{kind} {info.bounds}".strip()
        if info.name == "participation":
            expected = f"a number {info.bounds}, or text"
        assert rows[info.name] == {"Key": info.name, "Value": expected, "Meaning": info.help}, (
            info.name
        )


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
