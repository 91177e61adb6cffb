"""The output of `pflbench plan`: how many seeds a board needs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pflbench.analysis import Board
from pflbench.analysis.power import MOST_SEEDS, Needed, Plan, plan_seeds
from pflbench.analysis.protocol import BASELINE, FEWEST_SEEDS
from pflbench.cli.option_types import listed
from pflbench.cli.session import warn
from pflbench.cli.show_run import select_boards
from pflbench.errors import InputError, UnknownNameError
from pflbench.report.tables.escape import plain
from pflbench.report.terminal.screen import literal, show, table


def plans(
    results: Path,
    scenarios: Sequence[str],
    datasets: Sequence[str],
    algorithms: Sequence[str],
    effect: float,
    power: float,
) -> list[Plan]:
    """Plan the boards of a results folder, filtered; say which cannot be planned, and why.

    Raises
    ------
    InputError
        Nothing can be planned, or a selected name has no run.
    """
    boards, names = select_boards(results, scenarios, datasets), listed(algorithms)
    known = {row.algorithm for board in boards for row in board.rows}
    for name in names:
        if name not in known:
            raise UnknownNameError("algorithm with results", name, known)
    made, reasons = [], []
    for board in (_only(board, names) for board in boards):
        try:
            made.append(plan_seeds(board, effect, power))
        except InputError as error:
            reasons.append(error)
    if not made:
        raise reasons[0] if reasons else InputError(f"{results} has no runs to plan with.")
    for reason in reasons:
        warn(f"Notice: {reason}")
    return made


def _only(board: Board, algorithms: Sequence[str]) -> Board:
    """Return a board with the rows of some methods, and of the baseline; with all if none."""
    if not algorithms:
        return board
    kept = {*algorithms, BASELINE}
    return dataclasses.replace(
        board, rows=tuple(row for row in board.rows if row.algorithm in kept)
    )


def print_plans(made: Sequence[Plan], form: Literal["text", "json"]) -> None:
    """Print plans for users or for scripts."""
    if form == "json":
        click.echo(json.dumps([one.record() for one in made], indent=2, ensure_ascii=False))
        return
    parts = [part for one in made for part in (*_parts(one), "")]
    show(*parts, _remark(made))


def _parts(one: Plan) -> list[RenderableType]:
    whole = one.whole
    count = f"more than {MOST_SEEDS}" if whole.seeds is None else str(whole.seeds)
    return [
        Text(plain(one.board.title), style="bold"),
        Text(
            f"Seeds that show a row {100 * one.effect:g} points ahead of all others, with a power "
            f"of {100 * one.power:g} %, among {len(one.rows) + 1} rows; from {one.stored} stored "
            f"seeds. Scenario {one.board.scenario_id}."
        ),
        _table(one),
        Text.assemble(
            ("Whole board: ", "bold"),
            f"{count} seeds ({_interval(whole)}), as {plain(whole.method)} needs.",
        ),
    ]


def _table(one: Plan) -> Table:
    made = table(
        f"Against {BASELINE}",
        "Std over seeds",
        "Seeds",
        "95 % interval",
        f"Power with {one.stored}",
    )
    made.columns[0].no_wrap, made.columns[0].overflow = False, "fold"
    for column in made.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in one.rows:
        power = "no verdict" if row.power is None else f"{100 * row.power:.0f} %"
        made.add_row(
            literal(row.method), f"{100 * row.std:.2f}", _seeds(row.seeds), _interval(row), power
        )
    return made


def _seeds(number: int | None) -> str:
    return f"> {MOST_SEEDS}" if number is None else str(number)


def _interval(row: Needed) -> str:
    return f"{_seeds(row.low)} to {_seeds(row.high)}"


def _remark(made: Sequence[Plan]) -> Text:
    fewest = min(one.stored for one in made)
    return Text(
        f"The interval is that of a standard deviation estimated from {fewest} seeds, of normal "
        f"luck. Fewer than {FEWEST_SEEDS} seeds have no verdict. Run a few more seeds, and plan "
        "again: the interval narrows with them.",
        style="dim",
    )
