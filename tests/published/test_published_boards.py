"""The published pages are what the published runs give."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pflbench.analysis import Board, Question, boards
from pflbench.report.tables.columns import COLUMN_SETS, VIEWS, ColumnSet
from pflbench.report.tables.render import render
from pflbench.results import Store
from pflbench.schema.parameters import parameters_of_identity, parse_parameters
from pflbench.schema.plugins import installed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("boards", ROOT / "studies" / "boards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_regenerate_from_the_runs(generator: ModuleType) -> None:
    found = generator.published()
    assert generator.page(found, generator.tuned()) == generator.PAGE.read_text()
    assert generator.front(found) == generator.README.read_text()


MEANS = (
    "test accuracy",
    "worst tenth",
    "last round",
    "best test",
    "optimism",
    "selected round",
    "hurt %",
    "beyond error %",
    "seconds",
    "client seconds",
    "server seconds",
    "round",
    "rank correlation",
    "precision %",
    "NLL",
    "Brier",
    "ECE %",
    "participants",
    "gap",
)
"""Columns of means that differ with the seed."""


@pytest.fixture(scope="module")
def several(generator: ModuleType) -> list[Board]:
    """Boards of two and three seeds: the README's, one with new clients, one with groups."""
    official = [
        run
        for run in Store(generator.PUBLISHED).runs()
        if (run.cell["scenario"]["dataset"], run.cell["scenario"]["partition"]["name"])
        == generator.FRONT
    ]
    studied = [
        run
        for run in Store(generator.ROOT / "results" / "studies" / "fedora").runs()
        if run.cell["scenario"].get("new_clients")
        or (run.cell["scenario"].get("population") or {}).get("name") == "groups"
    ]
    found = [*boards(official, question=Question(target=0.5)), *boards(studied)]
    assert {len(board.seeds) for board in found} == {2, 3}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("columns", COLUMN_SETS)
def test_no_mean_is_without_its_deviation_and_nothing_is_cut(
    several: list[Board], columns: ColumnSet
) -> None:
    seen = set()
    for board in several:
        cells = [
            (column.header, column.entry(row))
            for table in VIEWS[columns].tables(board)
            for column in table
            for row in board.rows
            if not column.left and row.measures is not None
        ]
        known = [(head, text) for head, text in cells if head in MEANS and "–" not in text]
        assert [cell for cell in known if "±" not in cell[1]] == []
        seen |= {head for head, _ in known}
        for width in (80, 120):
            shown = render(board, columns=columns, width=width)
            assert [cell for cell in cells if cell[1] not in shown] == []
            assert all(word in shown for head, _ in cells for word in head.split())
    assert seen


def test_a_run_in_a_checkout_finds_its_default_results_folder(generator: ModuleType) -> None:
    """The README's first command is typed here, where `results` is there already."""
    Store(generator.ROOT / "results", create=True)


def test_a_headline_number_follows_by_hand_from_the_per_client_table(generator: ModuleType) -> None:
    runs = [
        run
        for run in Store(generator.PUBLISHED).runs()
        if run.cell["algorithm"]["name"] == "fedora" and run.cell["scenario"]["dataset"] == "mnist"
    ]
    means = []
    for run in runs:
        metrics = run.table("metrics")
        accuracy = metrics.assign(accuracy=metrics["correct"] / metrics["samples"])
        by_round = accuracy.groupby(["split", "round"])["accuracy"].mean()
        chosen = by_round["val"].round(12).idxmax()
        means.append(by_round["test"][chosen])
    assert len(runs) >= 3
    headline = f"{100 * sum(means) / len(means):.2f}"
    line = next(line for line in generator.README.read_text().splitlines() if "| fedora |" in line)
    assert headline in line


def test_published_runs_keep_their_ids(generator: ModuleType) -> None:
    """What a scenario has gained since has a default that their identity does not mention."""
    for run in Store(generator.PUBLISHED).runs():
        assert run.typed_cell.id == run.id
        assert run.typed_cell.to_json() == run.cell
        assert run.typed_cell.scenario.precision == "float32"


def test_published_runs_keep_the_identity_of_their_parameters(generator: ModuleType) -> None:
    """What a method has gained since stands in no identity while it has its default."""
    registry = installed()
    for run in Store(generator.PUBLISHED).runs():
        name, kept = run.cell["algorithm"]["name"], run.cell["algorithm"]["parameters"]
        cls = registry.get(registry.algorithms, name).parameters
        parameters = parse_parameters(cls, kept, owner=name)
        assert parameters_of_identity(parameters) == kept


def test_published_runs_are_complete_and_name_no_machine(generator: ModuleType) -> None:
    for run in Store(generator.PUBLISHED).runs():
        assert run.status == "complete"
        for file in run.folder.glob("*.json"):
            assert not {"/work", "/root", "/home", "/tmp"} & set(file.read_text().split('"'))
            assert "/home/" not in file.read_text()


@pytest.mark.parametrize(
    ("dataset", "partition", "algorithm", "published", "within"),
    [
        # The official FEDORA code, seed 42, percent, mean over clients at the last round.
        ("mnist", "rotated", "fedora", 81.9, 1.5),
        ("mnist", "rotated", "local", 76.4, 1.5),
        ("fashion-mnist", "rotated", "fedora", 71.4, 1.5),
        ("fashion-mnist", "rotated", "local", 70.2, 1.5),
        # The pFedHN paper, MNIST, 50 clients: 99.28 ± 0.11.
        ("mnist", "pathological", "pfedhn", 99.28, 0.78),
    ],
)
def test_published_runs_come_near_the_published_figures(
    generator: ModuleType,
    dataset: str,
    partition: str,
    algorithm: str,
    published: float,
    within: float,
) -> None:
    accuracies = [
        run.summary["test_accuracy"]
        for run in Store(generator.PUBLISHED).runs()
        if run.cell["scenario"]["dataset"] == dataset
        and run.cell["scenario"]["partition"]["name"] == partition
        and run.cell["algorithm"]["name"] == algorithm
    ]
    assert len(accuracies) == (3 if partition == "rotated" else 1)
    assert abs(100 * sum(accuracies) / len(accuracies) - published) <= within
