"""Methods × scenarios for a paper: what is marked, what is missing, and a LaTeX that compiles."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import shutil
import subprocess
from pathlib import Path

import made_boards
import numpy as np
import pytest
from made_boards import Values
from stored_runs import MakeRun, scenario

from pflbench.analysis import Board, boards, paired_tests
from pflbench.analysis.comparison_table import comparison_table
from pflbench.errors import InputError, UnknownNameError
from pflbench.report.tables.paper_table import PaperTable
from pflbench.results import Store

EVIL = "a_b#%&$^~{x}\\input{y} <|>\"'`--é中Ж"


def rows(**by_method: Values) -> list[made_boards.Row]:
    """Return rows of [S, N] accuracies that have their numbers by seed, too."""
    made = [made_boards.row(name.replace("_", "-"), values) for name, values in by_method.items()]
    return [
        dataclasses.replace(row, by_seed={"test_accuracy": row.accuracies.mean(axis=1).tolist()})
        for row in made
        if row.accuracies is not None
    ]


def seeds(*values: float) -> Values:
    return np.repeat(np.array(values)[:, None], 4, axis=1)


NEAR = seeds(0.90, 0.93, 0.89, 0.94, 0.91)
BEST = seeds(0.93, 0.90, 0.94, 0.90, 0.92)
FAR = seeds(0.50, 0.52, 0.49, 0.51, 0.50)


@pytest.fixture
def told() -> list[Board]:
    """Two scenarios: of five seeds, and of two."""
    return [
        made_boards.board(rows(fedora=BEST, fedavg=NEAR, local=FAR)),
        made_boards.board(rows(fedavg=seeds(0.8, 0.82), local=seeds(0.5, 0.5)), step=20),
    ]


def test_the_best_is_bold_and_only_what_the_verdict_does_not_tell_apart_is_underlined(
    told: list[Board],
) -> None:
    latex = PaperTable(comparison_table(told[:1])).to_latex()
    assert r"fedora & \textbf{91.80} $\pm$ 1.79 \\" in latex
    assert r"fedavg & \underline{91.40} $\pm$ 2.07 \\" in latex
    assert r"local & 50.40 $\pm$ 1.14 \\" in latex
    verdicts = {(t.first, t.second): t.verdict for t in paired_tests(told[0])}
    assert verdicts["fedora", "fedavg"] == "not told apart"
    assert verdicts["fedora", "local"] == "better"


def test_too_few_seeds_underline_nothing_and_say_so(told: list[Board]) -> None:
    table = PaperTable(comparison_table(told))
    latex = table.to_latex()
    assert "(2): 2 seeds: no verdict, which needs 5" in latex
    assert latex.count(r"\underline") == 1  # on the scenario of five seeds
    frame = table.to_frame().set_index(["method", "scenario"])
    assert frame.loc[("local", told[1].scenario_id), "verdict_against_best"] == "no verdict"


def test_a_cell_without_a_number_is_a_dash_that_is_explained(told: list[Board]) -> None:
    lacking = dataclasses.replace(
        made_boards.row("fedora", seeds(0.1, 0.1), rank=None), reason="seed 1 failed"
    )
    other = dataclasses.replace(told[1], rows=(*told[1].rows, lacking))
    text = PaperTable(comparison_table([told[0], other])).to_text(80)
    assert re.search(r"fedora .* – a\n", text)
    assert "a: not ranked: seed 1 failed." in text
    without = PaperTable(comparison_table(told)).to_text(80)
    assert "–: no number, as these results have no such runs." in without


def test_lower_is_better_where_the_metric_says_so(store: Store, make_run: MakeRun) -> None:
    for seed in range(2):
        make_run("local", seed, {30: ([5] * 4, [5, 5, 5, 5])})
        make_run("fedavg", seed, {30: ([5] * 4, [9, 4, 9, 9])})
        make_run("fedora", seed, {30: ([5] * 4, [9, 9, 9, 9])})
    made = comparison_table(boards(store.runs(), lambda name: {}), ["hurt", "gain"])
    hurt = {m: made.entries[m, made.boards[0].scenario_id, "hurt"] for m in ("fedavg", "fedora")}
    assert (hurt["fedora"].value, hurt["fedora"].best) == (0.0, True)
    assert (hurt["fedavg"].value, hurt["fedavg"].best) == (0.25, False)
    assert ("local", made.boards[0].scenario_id, "gain") not in made.entries
    assert "+40.00" in PaperTable(made).to_markdown()


def test_equal_means_are_all_best() -> None:
    made = comparison_table([made_boards.board(rows(fedora=BEST, fedavg=BEST, local=FAR))])
    assert PaperTable(made).to_latex().count(r"\textbf") == 2


def test_csv_and_frame_have_the_exact_numbers_of_the_board(told: list[Board]) -> None:
    table = PaperTable(comparison_table(told))
    read = list(csv.DictReader(io.StringIO(table.to_csv())))
    frame = table.to_frame()
    assert [float(r["value"]) for r in read if r["value"]] == frame["value"].dropna().tolist()
    fedora = next(r for r in read if r["method"] == "fedora")
    assert float(fedora["value"]) == pytest.approx(float(BEST.mean()), abs=1e-15)
    assert len(read) == 6  # three methods on two scenarios, with or without a number


def test_a_tuned_method_is_one_row_with_each_scenarios_setting(
    store: Store, make_run: MakeRun
) -> None:
    for clients, mu in ((4, 0.1), (5, 0.2)):
        of = scenario(clients=clients)
        make_run("fedprox", 0, {30: ([5] * 4, [5] * 4)}, parameters={"mu": mu}, of=of)
    made = boards(store.runs(), lambda name: {"mu": 0.01})
    assert comparison_table(made).methods == ("fedprox(mu=0.1)", "fedprox(mu=0.2)")
    tuned = [
        dataclasses.replace(b, rows=tuple(dataclasses.replace(r, tuned=4) for r in b.rows))
        for b in made
    ]
    assert comparison_table(tuned).methods == ("fedprox (tuned)",)


def test_unknown_names_and_empty_results_are_refused(told: list[Board]) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'accuracy'"):
        comparison_table(told, ["acuracy"])
    with pytest.raises(UnknownNameError, match="Did you mean 'interval'"):
        PaperTable(comparison_table(told), "intervall")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs a method with complete runs"):
        comparison_table([])


def test_text_fits_a_terminal_of_80_columns(told: list[Board]) -> None:
    table = PaperTable(comparison_table([*told, *told]), spread="interval")
    assert max(map(len, table.to_text(80).splitlines())) <= 80


def test_latex_compiles_whatever_the_names_are(told: list[Board], tmp_path: Path) -> None:
    """Foreign names are shown, run no command, and end no table."""
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex: apt-get install texlive-latex-recommended")
    foreign = [
        dataclasses.replace(b, title=f"{EVIL} · {b.title}", words=f"{EVIL}.", notes=(EVIL,))
        for b in told
    ]
    named = {
        f"{seed:012x}": label for seed, label in enumerate([EVIL] * 5)
    }  # all rows of `made_boards` have these ids
    one = [dataclasses.replace(b, rows=b.rows[:1]) for b in foreign]
    texts = [
        PaperTable(comparison_table(one, named=named)).to_latex(),
        PaperTable(comparison_table(foreign), "interval").to_latex(),
        PaperTable(comparison_table([*foreign, *foreign]), across=1).to_latex(),
    ]
    source = tmp_path / "paper.tex"
    head = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
    source.write_text(head + "\n".join(texts) + "\\end{document}\n", "utf-8")
    ended = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", source.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 1000
