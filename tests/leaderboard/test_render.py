"""Leaderboards in print: complete, readable, and safe from what names contain."""

from __future__ import annotations

import csv
import dataclasses
import io
import re

import made_boards
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from stored_runs import MakeRun, scenario

from pflbench.analysis import Board, boards
from pflbench.cli.main import main
from pflbench.errors import UnknownNameError
from pflbench.report.tables import escape
from pflbench.report.tables.render import render, renderable
from pflbench.results import Store

EVIL = "a|b_c*[bold]red[/bold]\x1b[31m\n\\end{table}$&#%~^<script>`‮"


REPEAT = "The command that repeats each row: --format markdown or csv, or pflbench report."


@pytest.fixture
def board(store: Store, make_run: MakeRun) -> Board:
    for seed in (0, 1):
        make_run("local", seed, {30: ([5] * 4, [5, 6, 5, 6])})
        make_run("fedora", seed, {30: ([5] * 4, [9, 8, 4 + seed, 8])}, summary={"adapt_steps": 7})
    make_run("fedavg", 0, None, failure={"error": "DivergedError", "round": 3, "client": 2})
    return boards(store.runs(), lambda name: {})[0]


@pytest.fixture
def evil_board(store: Store, make_run: MakeRun) -> Board:
    labels = {"dataset": f"npz:{EVIL}", "command": f"pflbench run\n```\n{EVIL}", "notice": EVIL}
    make_run("fedora", 0, {30: ([5] * 4, [5] * 4)}, parameters={"note": EVIL}, labels=labels)
    return boards(store.runs(), lambda name: {})[0]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_text_says_everything_and_cuts_nothing(board: Board, width: int) -> None:
    text = render(board, "text", width=width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    assert "at the round selected on validation; mean over clients, then over seeds." in words
    assert "4 clients of mnist" in words
    assert re.search(r"– +fedora +2 +73\.75 ± 1\.77\s", text)
    assert "+18.75 [" in text
    assert (
        "12.5 ± 17.7 (0.0)" in text
    )  # one client of four, with one of two seeds, within the error
    assert "1,000 + 7" in text
    assert re.search(r"– +fedavg +0 +–\s", text)
    assert "Not ranked: fedavg: seed 0 failed in round 3, client 2 (DivergedError)" in words
    assert not re.search(r"– +fedavg-ft", text)
    assert "No run of the reference row fedavg-ft." in words
    for term in ("rank:", "95 % t interval:", "worst tenth:", "hurt %:", "optimism:", "best test:"):
        assert term in text
    assert words.endswith(REPEAT)


def test_a_console_shows_the_same_words(board: Board) -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system="standard")
    console.print(renderable(board, legend=False))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1m" in shown
    assert "73.75 ± 1.77" in shown
    assert "optimism:" not in shown
    assert REPEAT not in shown


def test_markdown_is_a_table_with_its_commands(board: Board) -> None:
    text = render(board, "markdown")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 3
    assert all(len({line.count("|") for line in t.splitlines()}) == 1 for t in tables)
    assert "| – | fedora | 2 | 73.75 ± 1.77 |" in text
    assert "| – | fedavg | 0 | – |" in text
    assert "pflbench run --algo fedora --dataset mnist --seed 0  # also with seed 1" in text


def test_csv_keeps_every_number(board: Board) -> None:
    rows = list(csv.DictReader(io.StringIO(render([board, board], "csv"))))
    assert [row["method"] for row in rows[:3]] == ["fedora", "local", "fedavg"]
    assert len(rows) == 6
    (fedora,) = [row for row in rows[:3] if row["algorithm"] == "fedora"]
    assert float(fedora["test_accuracy"]) == pytest.approx(0.7375, abs=1e-15)
    assert fedora["seeds"] == "0 1"
    assert len(fedora["runs"].split()) == 2
    (failed,) = [row for row in rows[:3] if row["algorithm"] == "fedavg"]
    assert failed["rank"] == failed["test_accuracy"] == ""
    assert failed["reason_not_ranked"].startswith("seed 0 failed")
    assert render([], "csv") == ""


def test_latex_is_balanced(board: Board) -> None:
    text = render(board, "latex")
    for name in ("table", "tabular", "minipage"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") > 0
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3
    assert r"-- & fedora & 2 & 73.75 $\pm$ 1.77 &" in text
    command = "pflbench run --algo fedora --dataset mnist --seed 0  # also with seed 1"
    assert text.count(f"\n% fedora: {command}\n") == 1
    assert text.count("\n% fedavg: pflbench run ") == 1  # failed, and can be repeated as well
    tabular = text.split(r"\begin{tabular}{")[1]
    columns = len(tabular.split("}")[0])
    lines = [line for line in tabular.split(r"\end{tabular}")[0].splitlines() if " & " in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {columns - 1}


def test_foreign_text_cannot_break_out(evil_board: Board) -> None:
    for format in ("text", "markdown", "csv", "latex"):
        text = render(evil_board, format)
        assert "\x1b" not in text
        assert "‮" not in text
    assert "[bold]red[/bold]" in re.sub(r"\s+", "", render(evil_board, "text", width=500))
    lines = render(evil_board, "latex").splitlines()
    (comment,) = (line for line in lines if line.startswith("% fedora"))
    assert f"pflbench run ``` {escape.plain(EVIL)}" in comment
    latex = "\n".join(line for line in lines if not line.startswith("%"))
    assert latex.count(r"\end{table}") == 1
    assert not re.search(r"(?<!\\)[#]", latex)
    markdown = render(evil_board, "markdown")
    rows = [line for line in markdown.splitlines() if line.startswith("| – |")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 9
    assert "<script>" not in markdown.split("Each row again:")[0].replace(r"\<", "")
    fence = re.findall(r"^(`{3,})sh$", markdown, flags=re.MULTILINE)[0]
    assert markdown.count(fence) == 2
    console = Console(file=io.StringIO(), width=300)
    console.print(renderable(evil_board))
    assert "[bold]red[/bold]" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_run_shown_cannot_command_the_terminal(store: Store, make_run: MakeRun) -> None:
    evil = "a\x1b]52;c;ZXZpbA==\x07b\u202e[red]c[/red]\r"
    failure = {"error": "E", "message": evil, evil: 1}
    run = make_run("fedora", 0, None, failure=failure, labels={"command": evil})
    shown = CliRunner().invoke(main, ["show", "run", run.id, "--results", str(store.root)])
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.replace("\n", "").isprintable()
    harmless = "a�]52;c;ZXZpbA==�b�[red]c[/red]"
    assert shown.stdout.count(harmless) == 3  # message, its neighbour's name, command


COMMANDS = "\x1b]0;x\x07 and \x1b[31m red"
SPELT = "�]0;x� and �[31m red"


def test_the_reason_of_a_failure_cannot_command_the_terminal(
    store: Store, make_run: MakeRun
) -> None:
    make_run("fedora", 0, None, failure={"error": "DivergedError", "message": COMMANDS})
    shown = CliRunner().invoke(main, ["status", "--results", str(store.root)], color=True)
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.replace("\n", "").isprintable()
    assert SPELT in shown.stdout


def test_an_error_cannot_command_the_terminal() -> None:
    ended = CliRunner().invoke(main, ["leaderboard", "--results", COMMANDS], color=True)
    assert ended.exit_code == 2
    assert SPELT in ended.stderr
    assert "\x07" not in ended.stderr


def test_latex_has_no_sign_that_plain_latex_lacks(store: Store, make_run: MakeRun) -> None:
    private = {"epsilon": 4.5, "delta": 1e-5}
    make_run("fedora", 0, {30: ([5] * 4, [5] * 4)}, summary=private, labels={"notice": 'a "b" | c'})
    text = render(boards(store.runs(), lambda name: {}), "latex")
    assert r"$\varepsilon$" in text
    assert not set(text) & set('"|εδ�')
    assert all(ord(c) < 0x250 for c in text)


def test_an_unknown_format_is_named(board: Board) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'markdown'"):
        render(board, "markdwn")  # type: ignore[arg-type]


def test_shares_and_steps_in_words(store: Store, make_run: MakeRun) -> None:
    of = scenario(local_epochs=None, local_steps=50, participation=0.02, rounds=1, eval_every=1)
    make_run("fedora", 0, {1: ([5] * 4, [5] * 4)}, of=of)
    words = boards(store.runs(), lambda name: {})[0].words
    assert "1 round of 50 local steps, 2 % of the clients in each round" in words
    assert "evaluated every round." in words


@given(st.text())
def test_escaped_text_is_one_harmless_line(text: str) -> None:
    for escaped in (escape.plain(text), escape.markdown(text), escape.latex(text)):
        assert escaped.isprintable()
    assert not re.search(r"(?<!\\)[|`*_<]", re.sub(r"\\\\", "", escape.markdown(text)))
    bare = re.sub(r"\\[{}$&#_%]|\\[a-z]+\{\}|\$\\?[a-z-]*−?-?\$", "", escape.latex(text))
    assert not re.search(r"[\\{}$&#_%~^]", bare)
    assert not escape.cell(text).strip().startswith(("=", "+", "-", "@"))


@pytest.mark.parametrize("before", ["", " ", "\t", "\r", "\n", "\t ", "\u00a0"], ids=ascii)
@pytest.mark.parametrize("sign", list("=+-@＝＋－＠"), ids=ascii)
def test_no_cell_of_a_spreadsheet_becomes_a_formula(before: str, sign: str) -> None:
    shown = escape.cell(f"{before}{sign}1+1")
    assert shown.isprintable()
    assert shown[0] == "'"
    assert escape.cell(f"{before}a=1")[0] != "'"


def test_a_mean_and_its_interval_have_as_many_digits_so_the_mean_lies_between() -> None:
    """Of one digit for the ends and two for the mean, −0.01 [0.0 … 0.0] came."""
    low = made_boards.row("fedora", np.full((2, 4), 0.98760))
    small = {"gain": -0.0001, "gain_low": -0.0004, "gain_high": 0.0001}
    ends = {"low": 0.98758, "high": 0.98764}
    assert low.measures is not None
    low = dataclasses.replace(low, measures=dataclasses.replace(low.measures, **small, **ends))
    board = made_boards.board([made_boards.row("local", np.full((2, 4), 0.98770)), low])
    for columns in ("standard", "transfer", "tests"):
        for line in render(board, "markdown", columns=columns).splitlines():
            for mean, one, other in re.findall(rf"({_NUMBER}) \\\[({_NUMBER}) … ({_NUMBER})", line):
                assert len({len(part.partition(".")[2]) for part in (mean, one, other)}) == 1
                assert value(one) <= value(mean) <= value(other)
    text = render(board, "text", width=120)
    assert "−0.01 [−0.04 … +0.01]" in text
    assert "98.76 … 98.76" in text


_NUMBER = r"[+−]?\d+\.\d+"


def value(text: str) -> float:
    return float(text.replace("−", "-"))


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_legend_is_printed_once_and_in_full_on_request(
    form: str, store: Store, make_run: MakeRun
) -> None:
    for clients in (4, 5):
        make_run("local", 0, {30: ([5] * 4, [5] * 4)}, of=scenario(clients=clients))
    asked = ["leaderboard", "--results", str(store.root), "--format", form]
    brief = CliRunner().invoke(main, asked)
    full = CliRunner().invoke(main, [*asked, "--explain"])
    assert brief.exit_code == full.exit_code == 0, brief.output
    first, second = "one more than the number of rows", "A range such as 1–4 is the mark of a row"
    for shown, of_second in ((brief, 0), (full, 1)):
        words = " ".join(shown.stdout.split()).replace("\\", "")
        assert words.count(first) == 1
        assert words.count(second) == of_second
        assert words.count("pflbench leaderboard --explain") == 1 - of_second
    assert len(brief.stdout.splitlines()) < len(full.stdout.splitlines()) or form == "markdown"
