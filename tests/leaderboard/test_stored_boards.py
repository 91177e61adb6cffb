"""Boards of a results folder from Python: chosen, as frames, and in a notebook."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from stored_runs import MakeRun

import pflbench
from pflbench.errors import InputError
from pflbench.report.tables.render import render
from pflbench.results import Store

FEDORA = {0: {10: ([3] * 4, [6] * 4)}}
LOCAL = {0: {10: ([2] * 4, [4] * 4)}}


def test_a_frame_has_the_columns_of_the_csv(store: Store, make_run: MakeRun) -> None:
    make_run("fedora", 0, FEDORA[0])
    make_run("local", 0, LOCAL[0])
    (board,) = pflbench.leaderboard(store.root)
    header, *rows = csv.reader(io.StringIO(render(board, "csv")))
    frame = board.to_frame()
    assert list(frame.columns) == header
    assert frame["method"].tolist() == [row[header.index("method")] for row in rows]
    assert frame["test_accuracy"].tolist()[0] == pytest.approx(0.6)


def test_boards_are_chosen_by_scenario_and_data_set(store: Store, make_run: MakeRun) -> None:
    make_run("fedora", 0, FEDORA[0])
    (board,) = pflbench.leaderboard(store.root)
    assert pflbench.leaderboard(store.root, scenarios=board.scenario_id[:4]) == [board]
    assert pflbench.leaderboard(store.root, datasets=[board.dataset]) == [board]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"datasets": "mnits"}, "mnits"),
        ({"scenarios": ["zz"]}, "zz"),
        ({"target": 75}, "target = 75 is not valid"),
        ({"network": "fax"}, "fax"),
    ],
)
def test_what_is_not_there_is_refused(
    store: Store, make_run: MakeRun, options: dict[str, object], said: str
) -> None:
    make_run("fedora", 0, FEDORA[0])
    with pytest.raises(InputError, match=said):
        pflbench.leaderboard(store.root, **options)  # type: ignore[arg-type]  # that is refused


def test_a_notebook_shows_rows_and_notes_and_runs_no_markup(
    store: Store, make_run: MakeRun
) -> None:
    make_run("fedora", 0, FEDORA[0])
    make_run("local", 0, LOCAL[0])
    (board,) = pflbench.leaderboard(store.root)
    odd = replace(board, title="<script>", rows=(replace(board.rows[0], label="<b>"), *board.rows))
    html = odd._repr_html_()
    assert "<script>" not in html
    assert "&lt;b&gt;" in html
    assert "60.00%" in html
    assert board.notes[-1].split("<")[0][:20] in html
