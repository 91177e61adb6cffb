"""A page for each published board; every row opens what its numbers are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from pflbench.analysis import Board, boards, with_tuning
from pflbench.analysis.board import Row
from pflbench.report.tables.columns import METHOD, TABLES, VIEWS
from pflbench.report.tables.entries import Column
from pflbench.report.tables.escape import markdown
from pflbench.results import Store
from pflbench.results.tunings import studies_of

FOLDERS = {
    "tuned": "Tuned alike: every method with the same number of trials",
    "published": "Official settings of FEDORA and pFedHN, every method with its defaults",
}
"""Results folders with boards to publish, and what they have in common."""


@dataclass(frozen=True)
class Published:
    """A board with its place on the site."""

    folder: str
    board: Board
    environments: dict[str, str]
    """Packages and machine of every run, by run id."""

    @property
    def address(self) -> str:
        """Return the page's name, which stays as long as the scenario does."""
        return f"{self.folder}-{self.board.scenario_id}"


def published(results: Path) -> list[Published]:
    """Return all boards of the published results folders."""
    found = []
    for folder in FOLDERS:
        stored = Store(results / folder).runs()
        environments = {run.id: _environment(run.environment) for run in stored}
        made = with_tuning(boards(stored), studies_of(results / folder))
        found += [Published(folder, board, environments) for board in made]
    return found


def overview(found: Sequence[Published]) -> str:
    """Return the page that lists the boards: methods by scenarios, the headline of each."""
    parts = [
        "# Boards",
        "Test accuracy (%) of personal models on each client's own test samples, at the round "
        "selected on validation; mean ± standard deviation over seeds. A board's page has the "
        "intervals, the verdicts and the runs.",
    ]
    for folder, words in FOLDERS.items():
        here = [one for one in found if one.folder == folder]
        methods = sorted({row.algorithm for one in here for row in one.board.rows})
        head = "".join(
            f'<th scope="col"><a href="{one.address}/">{escape(one.board.title)}</a></th>'
            for one in here
        )
        rows = "".join(
            f'<tr><th scope="row"><a href="../methods/{escape(method)}/">{escape(method)}</a></th>'
            + "".join(f"<td>{_best(one.board, method)}</td>" for one in here)
            + "</tr>"
            for method in methods
        )
        parts += [f"## {words}", _scrolled(f'<th scope="col">method</th>{head}', rows, words)]
    return "\n\n".join(parts) + "\n"


def _best(board: Board, method: str) -> str:
    """Return the headline of a method's row, the chosen one of several."""
    rows = [row for row in board.rows if row.algorithm == method]
    row = next((row for row in rows if row.chosen), rows[0] if rows else None)
    if row is None or row.measures is None:
        return "–"
    return escape(TABLES[0][3].entry(row))


def board_page(one: Published) -> str:
    """Return a board's page: its tables, its notes and what each row is made of."""
    board, view = one.board, VIEWS["standard"]
    tables = [_table(board, columns) for columns in view.tables(board)]
    notes = "".join(f"<li>{escape(note)}</li>" for note in board.notes)
    terms = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>"
        for term, meaning in (*view.legend, *view.terms(board))
    )
    parts = [
        f"# {markdown(board.title)}",
        markdown(board.words),
        f"*{markdown(view.headline_of(board))}*",
        f'<p><a href="{one.address}.csv" download>All numbers, unrounded (CSV)</a></p>',
        '<label>Show methods with <input type="search" class="filter"></label>',
        *tables,
        f"<ul>{notes}</ul>" if notes else "",
        "## What each row is made of",
        *(_made_of(one, number, row) for number, row in enumerate(board.rows)),
        "## What the columns say",
        f"<dl>{terms}</dl>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(board: Board, columns: Sequence[Column]) -> str:
    head = "".join(f'<th scope="col">{escape(column.header)}</th>' for column in columns)
    rows = []
    for number, row in enumerate(board.rows):
        cells = []
        for column in columns:
            shown = escape(column.entry(row))
            if column is METHOD:
                cells.append(f'<th scope="row"><a href="#row-{number}">{shown}</a></th>')
            else:
                cells.append(f"<td>{shown}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return _scrolled(head, "".join(rows), f"{board.title}: {columns[-1].header} and others")


def _scrolled(head: str, rows: str, words: str) -> str:
    """Return a table that scrolls within the page, by keys as well."""
    return (
        f'<div class="scrolled" tabindex="0" role="region" aria-label="{escape(words)}">'
        f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _made_of(one: Published, number: int, row: Row) -> str:
    """Return a row's runs: each seed's accuracy, its spread over clients, command, environment."""
    lines = []
    accuracies = row.accuracies
    for at, seed in enumerate(row.seeds):
        run = row.run_ids[seed]
        spread = ""
        if accuracies is not None and at < len(accuracies):
            q = 100 * np.quantile(accuracies[at], [0, 0.25, 0.5, 0.75, 1])
            mean = f"{100 * accuracies[at].mean():.3f}"
            spread = f"<td>{mean}</td>" + "".join(f"<td>{value:.1f}</td>" for value in q)
        lines.append(
            f'<tr><th scope="row">{seed}</th><td><code>{escape(run)}</code></td>'
            f"{spread or '<td>–</td>' * 6}</tr>"
        )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("seed", "run", "mean", "lowest", "quarter", "median", "3 quarters", "highest")
    )
    command = next(iter(row.commands.values()), "")
    environments = sorted({one.environments.get(run, "") for run in row.run_ids.values()} - {""})
    parameters = ", ".join(f"{name}={value}" for name, value in row.parameters.items())
    facts = [
        f"<p>Parameters: <code>{escape(parameters)}</code></p>" if parameters else "",
        f"<p>Repeat it:</p><pre><code>{escape(command)}</code></pre>" if command else "",
        *(f"<p>{escape(text)}</p>" for text in environments),
    ]
    return (
        f'<details id="row-{number}" class="row"><summary>{escape(row.label)}</summary>'
        f"<p>Test accuracy (%) of each seed, and over its clients "
        f"(version {escape(row.version)} of "
        f'<a href="../../methods/{escape(row.algorithm)}/">{escape(row.algorithm)}</a>):</p>'
        f'<div class="scrolled" tabindex="0" role="region" aria-label="runs of '
        f'{escape(row.label)}"><table class="runs"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{''.join(facts)}</details>"
    )


def _environment(recorded: Mapping[str, Any]) -> str:
    """Return where a run was computed, in words."""
    packages = recorded.get("packages", {})
    versions = [f"{name} {packages[name]}" for name in ("pflbench", "torch") if name in packages]
    place = [str(recorded[key]) for key in ("processor", "accelerator") if recorded.get(key)]
    parts = [f"Python {recorded.get('python', '?')}", *versions, *place]
    commit = str(recorded.get("commit") or "")[:12]
    return "Environment: " + ", ".join(parts) + (f"; commit {commit}" if commit else "") + "."
