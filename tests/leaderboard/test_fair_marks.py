"""Boards say which rows computed more, are still improving, or rest on seeds that disagree."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence

import pytest
from stored_runs import MakeRun

from pflbench.analysis import Board, boards
from pflbench.report.tables.render import render
from pflbench.results import Store

CLIENTS = 4
SAMPLES = (1000,) * CLIENTS


def curve(val: Sequence[float], test: float) -> Mapping[int, tuple[list[int], list[int]]]:
    """A run evaluated every ten rounds, of validation accuracies and one test accuracy."""
    return {
        10 * (n + 1): ([round(1000 * v)] * CLIENTS, [round(1000 * test)] * CLIENTS)
        for n, v in enumerate(val)
    }


def board(store: Store) -> Board:
    (made,) = boards(store.runs(), lambda _: {})
    return made


def marks(made: Board) -> dict[str, str]:
    """The marks of each row with seeds in the printed table."""
    row = r"^\| [\d–]+ \| (\S+) ?(\S*) \| [1-9]"
    found = re.findall(row, render(made, "markdown"), re.MULTILINE)
    return dict(found)


RISING, FLAT = [0.5, 0.6, 0.7, 0.8, 0.9], [0.5, 0.9, 0.8, 0.8, 0.8]


def test_a_row_that_selects_its_last_round_is_still_improving(
    store: Store, make_run: MakeRun
) -> None:
    for seed in range(3):
        make_run("rising", seed, curve(RISING, 0.8), samples=SAMPLES)
        make_run("mostly", seed, curve(RISING if seed else FLAT, 0.8), samples=SAMPLES)
        make_run("seldom", seed, curve(FLAT if seed else RISING, 0.8), samples=SAMPLES)
        make_run("level", seed, curve([0.9] * 5, 0.8), samples=SAMPLES)  # the first of equals
    made = board(store)
    assert marks(made) == {"rising": "↑", "mostly": "↑", "seldom": "", "level": ""}
    for form in ("text", "markdown", "latex"):
        said = " ".join(render(made, form).split())  # type: ignore[arg-type]
        assert "still improving: with most of the seeds" in said
        assert (r"$\uparrow$" if form == "latex" else "↑") in said
    assert not any("no selection" in note for note in made.notes)


@pytest.mark.parametrize("evaluations", [1, 2, 4, 5])
def test_few_evaluations_are_said_to_be_no_selection(
    store: Store, make_run: MakeRun, evaluations: int
) -> None:
    for seed in range(3):
        make_run("local", seed, curve(RISING[:evaluations], 0.8), samples=SAMPLES)
    made = board(store)
    said = [note for note in made.notes if "selection" in note or "selected" in note]
    expected = {
        1: "One evaluation, after the last round: no round was selected.",
        2: "Rounds were chosen among 2 evaluations, which is no selection:",
        4: "Rounds were chosen among 4 evaluations, which is no selection:",
    }
    assert len(said) == (evaluations < 5)
    assert all(note.startswith(expected[evaluations]) for note in said)
    if evaluations == 1:
        assert marks(made) == {"local": ""}  # there was no other round to select


def test_a_seed_far_from_the_others_is_marked_with_its_value(
    store: Store, make_run: MakeRun
) -> None:
    given = {
        "odd": (0.96, 0.957, 0.901),
        "spread": (0.70, 0.74, 0.79),  # the ± says it
        "close": (0.8, 0.8001, 0.815),  # one and a half points: no more than a hard split
        "alike": (0.8, 0.8, 0.8),
    }
    for method, values in given.items():
        for seed, value in enumerate(values):
            make_run(method, seed, curve(FLAT, value), samples=SAMPLES)
    made = board(store)
    assert marks(made) == {"odd": "§", "spread": "", "close": "", "alike": ""}
    note = "§ odd: seed 2 gives 90.10 %, the others 95.70 to 96.00 %."
    assert note in made.notes
    for form in ("text", "markdown", "latex"):
        said = " ".join(render(made, form).split())  # type: ignore[arg-type]
        assert "seed 2 gives 90.10" in said
        assert (r"odd \textsection{}" if form == "latex" else "odd §") in said
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(render(made, "csv")))}
    assert rows["odd"]["unstable_seeds"] == "2"
    assert rows["odd"]["accuracy_by_seed"] == "0:0.96 1:0.957 2:0.901"
    assert rows["spread"]["unstable_seeds"] == ""


def test_of_five_seeds_two_can_be_odd(store: Store, make_run: MakeRun) -> None:
    for seed, value in enumerate((0.9, 0.7, 0.901, 0.65, 0.902)):
        make_run("local", seed, curve(FLAT, value), samples=SAMPLES)
    (note,) = (note for note in board(store).notes if note.startswith("§"))
    assert note == (
        "§ local: seed 1 gives 70.00 % and seed 3 gives 65.00 %, the others 90.00 to 90.20 %."
    )


def test_two_seeds_are_never_far_apart(store: Store, make_run: MakeRun) -> None:
    for seed, value in enumerate((0.9, 0.5)):
        make_run("local", seed, curve(FLAT, value), samples=SAMPLES)
    assert marks(board(store)) == {"local": ""}


def test_the_error_of_few_test_samples_makes_no_seed_odd(store: Store, make_run: MakeRun) -> None:
    """Four clients of ten samples: a seed's mean has an error of seven points."""
    for seed, right in enumerate((6, 6, 8)):
        make_run("local", seed, {10: ([5] * 4, [5] * 4), 20: ([6] * 4, [right] * 4)})
    assert marks(board(store)) == {"local": "↑"}


def spent(local: int, adapt: int = 0) -> dict[str, float]:
    return {"local_steps": local, "adapt_steps": adapt}


def test_budgets_that_differ_are_said_and_those_that_agree_are_not(
    store: Store, make_run: MakeRun
) -> None:
    for seed in range(3):
        make_run("local", seed, curve(FLAT, 0.7), samples=SAMPLES, summary=spent(1000))
        make_run("fedavg", seed, curve(FLAT, 0.6), samples=SAMPLES, summary=spent(1000))
    assert not any("Budgets" in note for note in board(store).notes)
    assert "have the budget of local" in " ".join(render(board(store), columns="transfer").split())
    for seed in range(3):
        make_run("fedavg-ft", seed, curve(FLAT, 0.8), samples=SAMPLES, summary=spent(1000, 700))
        make_run("double", seed, curve(FLAT, 0.8), samples=SAMPLES, summary=spent(2000))
    made = board(store)
    (note,) = (note for note in made.notes if note.startswith("Budgets differ"))
    assert note == (
        "Budgets differ: double with 2.00 times the gradients of local; fedavg-ft with 1.70 times "
        "the gradients of local. The fair reference, local-plus with as many, is not ranked here."
    )
    for form in ("text", "markdown", "latex"):
        for columns in ("standard", "transfer"):
            said = " ".join(render(made, form, columns=columns).split())  # type: ignore[arg-type]
            assert "fedavg-ft with 1.70 times the gradients of local" in said
    headline = " ".join(render(made, columns="transfer").split("\n\n")[0].split())
    assert "Budgets differ: double with 2.00" in headline
    rows = {row["method"]: row for row in csv.DictReader(io.StringIO(render(made, "csv")))}
    assert [rows[name]["gradients"] for name in ("local", "fedavg-ft")] == ["1000.0", "1700.0"]
    assert float(rows["fedavg-ft"]["times_baseline_gradients"]) == pytest.approx(1.7)


def test_the_row_that_computed_as_much_is_named(store: Store, make_run: MakeRun) -> None:
    for seed in range(3):
        make_run("local", seed, curve(FLAT, 0.7), samples=SAMPLES, summary=spent(1000))
        make_run("fedavg-ft", seed, curve(FLAT, 0.8), samples=SAMPLES, summary=spent(1000, 700))
        make_run("local-plus", seed, curve(FLAT, 0.7), samples=SAMPLES, summary=spent(1000, 500))
    (note,) = (note for note in board(store).notes if note.startswith("Budgets differ"))
    assert note.endswith("The fair reference, local-plus with as many, is not ranked here.")
    for seed in range(3):
        make_run(
            "local-plus",
            seed,
            curve(FLAT, 0.7),
            samples=SAMPLES,
            summary=spent(1000, 700),
            parameters={"epochs": 7},
        )
    (note,) = (note for note in board(store).notes if note.startswith("Budgets differ"))
    assert note.endswith("The fair reference is local-plus(epochs=7).")
    made = board(store)
    assert next(row.label for row in made.rows if row.baseline) == "local"


def test_a_board_with_every_mark_fits_into_80_columns(store: Store, make_run: MakeRun) -> None:
    for seed, value in enumerate((0.9, 0.7, 0.901)):
        for method in ("local", "a-method-with-a-long-name"):
            make_run(
                method, seed, curve(RISING, value), samples=SAMPLES, summary=spent(10**8, 10**8)
            )
    text = render(board(store), width=80)
    assert max(map(len, text.splitlines())) <= 80
    head = " ".join(text.split())
    for column in ("gradients", "× local", "MB up", "MB down"):
        assert column in head or all(part in head for part in column.split())
    assert "100,000,000 + 100,000,000" in text
