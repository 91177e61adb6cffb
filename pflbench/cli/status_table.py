"""The states of cells, printed: for `pflbench status` and `pflbench run --dry-run`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.table import Table

from pflbench.cli.session import warn
from pflbench.experiments.grid.estimate import ASSUMED_PACE, Basis, Estimate, Experience
from pflbench.experiments.grid.grid_checks import checked
from pflbench.experiments.grid.survey import (
    STATES,
    Standing,
    State,
    counts,
    method_key,
    method_labels,
    scenario_titles,
    share_of,
    survey,
)
from pflbench.report.terminal.screen import fits, literal, show, table
from pflbench.report.terminal.units import duration, size
from pflbench.results import Store
from pflbench.schema.error_text import plain

if TYPE_CHECKING:
    from pflbench.experiments.grid.sharding import Shard
    from pflbench.runs import RunRequest
    from pflbench.runs.identity import Identified

_COLUMNS = 6
"""Most methods next to each other in a table."""

_STYLES: dict[State, str] = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "damaged": "red",
    "unfinished": "yellow",
    "missing": "",
    "impossible": "red",
}

_BASIS: dict[Basis, str] = {
    "method": "as runs of the same method in the same scenario took",
    "scenario": "as runs of other methods in the same scenario took",
    "pace": "by the pace of other runs in this results folder, with memory by rule: rough",
    "rule": f"by a rule, without any run for comparison: {ASSUMED_PACE:.0e} samples × parameters "
    "per second, and three rows for each client in memory: very rough",
}


def rehearse(requests: Sequence[RunRequest], results: Path, shard: Shard | None = None) -> None:
    """Print the cells of a command, their states, and estimates for the others; write nothing.

    Raises
    ------
    InputError
        The command's refusals before training: a cell is not valid, or the results folder is
        damaged.
    """
    store = Store(results, missing_ok=True)
    cells = share_of(checked(requests, store), shard)
    tell_notices(cells.values())
    standings = survey({k: (v.cell, v.dataset) for k, v in cells.items()}, store)
    again = {key for key, found in cells.items() if found.request.rerun == "always"}
    experience = Experience(store.runs())
    estimates = {
        s.run_id: experience.estimate(cells[s.run_id])
        for s in standings
        if s.state in ("failed", "damaged", "unfinished", "missing") or s.run_id in again
    }
    show(_cells_table(standings, estimates))
    click.echo("\n".join(["", counted(standings), *_forecast(standings, estimates, again)]))


def tell_notices(cells: Iterable[Identified]) -> None:
    """Print notices on the cells' data to stderr, as before a run."""
    for notice in dict.fromkeys(cell.said_of_data for cell in cells if cell.said_of_data):
        warn(f"Notice: {plain(notice)}")


def _cells_table(standings: Sequence[Standing], estimates: Mapping[str, Estimate]) -> Table:
    def entries(s: Standing) -> tuple[str, ...]:
        estimate = estimates.get(s.run_id)
        takes = "" if estimate is None else duration(_ahead(s, estimate))
        return str(s.cell.seed), s.run_id, _styled(s.state, _state_in_words(s)), takes

    head = ("Method", "Seed", "Run", "State", "Takes about")
    return _by_scenario(standings, standings, head, entries)


def _by_scenario(
    chosen: Sequence[Standing],
    standings: Sequence[Standing],
    head: Sequence[str],
    entries: Callable[[Standing], Sequence[str]],
) -> Table:
    """Return a table of a line a cell, with its scenario in a column, or above where it is narrow.

    Parameters
    ----------
    chosen, standings
        The cells to show, and all of them, which names follow from.
    head
        Of the columns, the method's first.
    entries
        A cell's entries in the other columns.
    """
    methods, titles = method_labels(standings), scenario_titles(standings)
    wide = table(head[0], "Scenario", *head[1:])
    narrow = table(*head)
    last = ""
    for s in chosen:
        method = literal(methods[method_key(s.cell.algorithm)])
        scenario = literal(titles[s.cell.scenario.id])
        if scenario != last:
            narrow.add_section()
            narrow.add_row(f"[bold default]{scenario}[/bold default]")
            last = scenario
        wide.add_row(method, scenario, *entries(s))
        narrow.add_row(f"  {method}", *entries(s))
    narrow.columns[0].no_wrap = False
    return wide if fits(wide) else narrow


def _state_in_words(standing: Standing) -> str:
    words: str = standing.state
    if standing.holder:
        words += f" by {standing.holder}"
    if standing.reached:
        words += f", round {standing.reached:,} of {standing.cell.scenario.rounds:,}"
    return words


def _played(standing: Standing) -> int:
    """Return the rounds of a complete run, which may have ended early."""
    rounds = standing.cell.scenario.rounds
    return rounds if standing.run is None else int(standing.run.summary.get("rounds", rounds))


def _styled(state: State, text: str) -> str:
    style = _STYLES[state]
    return f"[{style}]{literal(text)}[/{style}]" if style else literal(text)


def counted(standings: Sequence[Standing]) -> str:
    """Return the cells by state in one line."""
    found = counts(standings)
    parts = [f"{found[state]:,} {state}" for state in STATES if found[state]]
    return f"{_cells(len(standings))}: {', '.join(parts)}." if parts else "No cells."


def _cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number:,} cells"


def _ahead(standing: Standing, estimate: Estimate) -> float:
    """Return the seconds that are still to be spent on a cell."""
    share = 1 - standing.reached / standing.cell.scenario.rounds
    return estimate.seconds * max(share, 0.0)


def _forecast(
    standings: Sequence[Standing], estimates: Mapping[str, Estimate], again: Iterable[str]
) -> Iterator[str]:
    if not estimates:
        yield "Nothing to run."
        return
    ahead = [s for s in standings if s.run_id in estimates]
    seconds = sum(_ahead(s, estimates[s.run_id]) for s in ahead)
    memory = max(estimate.memory for estimate in estimates.values())
    yield (
        f"To be run: {_cells(len(ahead))}, about {duration(seconds)} one after the other; the "
        f"largest needs about {size(memory)} of memory. Estimated"
    )
    found = Counter(estimate.basis for estimate in estimates.values())
    for basis, words in _BASIS.items():
        if found[basis]:
            yield f"  {_cells(found[basis])} {words}"
    yield "Nothing was run or written."


def print_status(standings: Sequence[Standing], form: str) -> None:
    """Print the states of cells: a table of scenarios and methods, or JSON."""
    if form == "json":
        click.echo(json.dumps(_plain(standings), indent=2))
        return
    grids = list(_grids(standings))
    overview = grids if all(map(fits, grids)) else [_list(standings)]
    parts = [part for made in overview for part in (made, "")]
    if parts:
        show(*parts[:-1])
    for state, title, words in (
        ("running", "Running", lambda s: _progress(s, s.holder)),
        ("failed", "Failed", lambda s: s.reason),
        ("damaged", "Damaged", lambda s: f"{s.reason}; its command, given again, replaces it"),
        ("impossible", "Impossible", lambda s: s.reason),
        ("unfinished", "Unfinished", lambda s: _progress(s, "resumes from its last checkpoint")),
    ):
        chosen = [s for s in standings if s.state == state]
        if chosen:
            show("", _details(title, chosen, standings, words))
    click.echo(("\n" if parts else "") + counted(standings))


def _progress(standing: Standing, words: str) -> str:
    if not standing.reached:
        return words
    return f"{words}; round {standing.reached:,} of {standing.cell.scenario.rounds:,} is kept"


def _grids(standings: Sequence[Standing]) -> Iterator[Table]:
    """Yield tables of scenarios by methods, some methods at a time, with counts over seeds."""
    methods, titles = method_labels(standings), scenario_titles(standings)
    cells: dict[tuple[str, str], list[Standing]] = defaultdict(list)
    for s in standings:
        cells[s.cell.scenario.id, method_key(s.cell.algorithm)].append(s)
    every = list(methods)
    for begin in range(0, len(every), _COLUMNS):
        keys = every[begin : begin + _COLUMNS]
        made = table("Scenario", *(literal(methods[key]) for key in keys))
        for scenario, title in titles.items():
            row = [cells.get((scenario, key), []) for key in keys]
            if any(row):
                made.add_row(literal(title), *map(_tally, row))
        yield made


def _list(standings: Sequence[Standing]) -> Table:
    """Return a table with a line per scenario and method, if a grid does not fit."""
    methods, titles = method_labels(standings), scenario_titles(standings)
    cells: dict[tuple[str, str], list[Standing]] = defaultdict(list)
    for s in standings:
        cells[s.cell.scenario.id, method_key(s.cell.algorithm)].append(s)
    made = table("Method", "Seeds done")
    for scenario, title in titles.items():
        made.add_section()
        made.add_row(f"[bold default]{literal(title)}[/bold default]")
        for key, method in methods.items():
            if (scenario, key) in cells:
                tally = _tally(cells[scenario, key]).replace("\n", ", ")
                made.add_row(f"  {literal(method)}", tally)
    made.columns[0].no_wrap = False
    return made


def _tally(standings: Sequence[Standing]) -> str:
    """Return how many seeds are complete, and the states of the others."""
    if not standings:
        return "–"
    found = counts(standings)
    lines = [_styled("done" if found["done"] else "missing", f"{found['done']}/{len(standings)}")]
    lines += [
        _styled(state, f"{found[state]} {state}")
        for state in STATES
        if found[state] and state not in ("done", "missing")
    ]
    return "\n".join(lines)


def _details(
    title: str, chosen: Sequence[Standing], standings: Sequence[Standing], words: Any
) -> Table:
    def entries(s: Standing) -> tuple[str, ...]:
        return str(s.cell.seed), s.run_id, literal(words(s))

    return _by_scenario(chosen, standings, (title, "Seed", "Run", ""), entries)


def _plain(standings: Sequence[Standing]) -> dict[str, Any]:
    methods, titles = method_labels(standings), scenario_titles(standings)
    return {
        "cells": [
            {
                "run": s.run_id,
                "method": methods[method_key(s.cell.algorithm)],
                "algorithm": s.cell.algorithm.name,
                "parameters": dict(s.cell.algorithm.parameters),
                "scenario": s.cell.scenario.id,
                "title": titles[s.cell.scenario.id],
                "dataset": s.dataset,
                "seed": s.cell.seed,
                "state": s.state,
                "reason": s.reason or None,
                "by": s.holder or None,
                "round": _played(s) if s.state == "done" else s.reached,
                "rounds": s.cell.scenario.rounds,
            }
            for s in standings
        ],
        "counts": counts(standings),
    }
