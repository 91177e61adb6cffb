"""What the page holds: every number of the boards, every command, every reason."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from document import Element, Report, read
from reported import SCENARIOS

from pflbench.analysis import Board, boards
from pflbench.cli.main import main
from pflbench.report.html import render, report
from pflbench.report.html.page_tables import leaderboard
from pflbench.results import Store

pytestmark = pytest.mark.slow  # pages with all their pictures


@pytest.fixture(scope="module")
def document(page: str) -> Element:
    return read(page)


@pytest.fixture(scope="module")
def made(results: Path) -> list[Board]:
    return boards(Store(results).runs())


def section(document: Element, board: Board) -> Element:
    return document.one("section", id=f"scenario-{board.scenario_id}")


def percent(value: float, form: str = ".2f") -> str:
    text = f"{100 * value:{form}}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def test_the_page_is_one_file_that_may_load_nothing(page: str, document: Element) -> None:
    for element in document.walk():
        for name, value in element.attributes.items():
            assert not name.startswith("on"), (element.tag, name)
            if name in ("src", "href", "xlink:href", "action", "srcset"):
                assert value.startswith(("#", "data:image/png;base64,")), (element.tag, value)
    assert not document.all("link")
    assert not document.all("iframe")
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    policies = [
        meta.attributes["content"]
        for meta in document.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (policy,) = policies
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert len(document.all("script")) == 1


def test_ids_are_unique_and_links_lead_somewhere(document: Element) -> None:
    ids = [e.attributes["id"] for e in document.walk() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for link in document.all("a"):
        assert link.attributes["href"][1:] in ids
    for row in document.all("tr"):
        if "data-again" in row.attributes:
            assert row.attributes["data-again"] in ids


def test_every_table_is_told_apart_by_name(document: Element, made: list[Board]) -> None:
    names = [e.attributes["aria-label"] for e in document.all("div", class_="scroll")]
    assert len(names) == len(document.all("table")) == len(set(names))
    assert {f"Leaderboard: {board.title}" for board in made} <= set(names)


def test_pointing_at_a_name_says_what_its_marks_stand_for(
    document: Element, made: list[Board]
) -> None:
    seen = 0
    for board in made:
        names = section(document, board).all("table")[0].all("bdi")
        marked = [row for row in board.rows if row.training.improving]
        for row in marked:
            (name,) = (e for e in names if e.text.startswith(f"{row.label} ↑"))
            assert name.attributes["title"].startswith("↑ still improving")
        seen += len(marked)
        assert any("among 3 evaluations" in note for note in board.notes)
    assert seen


def ranks(record: dict[str, Any]) -> str:
    best, worst = record["rank"], record["worst_rank"]
    return "–" if best is None else str(best) if best == worst else f"{best}–{worst}"


def test_numbers_are_those_of_the_board(document: Element, made: list[Board]) -> None:
    seen = 0
    for board in made:
        table = section(document, board).all("table")[0]
        heads = table.heads()
        rows = table.cells()
        records = board.records()
        labels = [row[heads.index("method")].rstrip(" †‡↑§") for row in rows]
        assert labels == [record["method"] for record in records]
        for cells, record in zip(rows, records, strict=True):
            if record["test_accuracy"] is None:
                continue
            told = dict(zip(heads, cells, strict=True))
            deviations = json.loads(record["deviations"])
            expected: dict[str, Any] = {
                "rank": ranks(record),
                "seeds": str(len(record["seeds"].split())),
                "test accuracy": f"{percent(record['test_accuracy'])} ± "
                f"{percent(record['test_std'])}",
                "95 % t interval": f"{percent(record['low'])} … {percent(record['high'])}",
                **{
                    head: f"{percent(record[name])} ± {percent(deviations[name])}"
                    for head, name in (
                        ("worst tenth", "worst_tenth"),
                        ("last round", "last_accuracy"),
                        ("best test", "best_accuracy"),
                        ("optimism", "optimism"),
                    )
                },
                "MB up": f"{record['bytes_up'] / 1e6:,.1f}",
                "MB down": f"{record['bytes_down'] / 1e6:,.1f}",
                "seconds": f"{record['seconds']:,.1f} ± {deviations['seconds']:,.1f}",
            }
            assert {key: told[key] for key in expected} == expected
            assert told["gradients"].startswith(f"{record['local_steps']:,.0f}")
            if record["algorithm"] != "local":
                assert told["gain over local"].startswith(percent(record["gain"], "+.2f"))
                assert told["hurt %"].startswith(percent(record["hurt"], ".1f"))
            seen += 1
    assert seen == sum(map(len, SCENARIOS.values()))


def test_a_gain_has_a_tone_only_where_the_verdict_gives_it_one(
    document: Element, made: list[Board]
) -> None:
    seen: set[str] = set()
    for board in made:
        table = section(document, board).all("table")[0]
        at = table.heads().index("gain over local")
        rows = [row for body in table.all("tbody") for row in body.all("tr")]
        for row, record in zip(rows, board.records(), strict=True):
            cells = [c for c in row.children if isinstance(c, Element)]
            leads = record["rank"] == record["worst_rank"] == 1
            assert ("first" in row.attributes.get("class", "").split()) == leads
            if record["test_accuracy"] is None or record["algorithm"] == "local":
                continue
            tones = {"up", "down"} & set(cells[at].attributes["class"].split())
            verdict = record["gain_verdict"]
            expected = {"better": {"up"}, "worse": {"down"}}.get(verdict, set())
            assert tones == expected
            seen.add(verdict)
    assert {"no verdict", "not told apart"} <= seen


@pytest.mark.parametrize(("shift", "tone"), [(0.1, "up"), (-0.1, "down"), (0.0, "")])
def test_a_verdict_gives_a_gain_its_tone(made: list[Board], shift: float, tone: str) -> None:
    (board,) = [b for b in made if len(b.seeds) == 5]
    base = next(row.accuracies for row in board.rows if row.baseline)
    assert base is not None
    rows = [
        row
        if row.baseline or row.accuracies is None
        else dataclasses.replace(row, accuracies=base + shift)
        for row in board.rows
    ]
    table = leaderboard(dataclasses.replace(board, rows=tuple(rows)), {})
    at = [head.text for head in table.heads].index("gain over local")
    tones = {
        line.entries[at].tone
        for line, row in zip(table.lines, rows, strict=True)
        if row.measures is not None and not row.baseline
    }
    assert tones == {tone}


def test_rows_that_are_not_ranked_come_last_with_their_reason(
    document: Element, made: list[Board]
) -> None:
    (board,) = [b for b in made if "iid" in b.title]
    table = section(document, board).all("table")[0]
    unranked = table.one("tbody", class_="unranked").all("tr")
    (row,) = [row for row in board.rows if row.measures is None]
    assert len(unranked) == 1
    assert row.label in unranked[0].text
    assert row.reason in unranked[0].text
    failed = next(
        t for t in section(document, board).all("table") if t.heads()[-1] == "reason"
    ).cells()
    assert len(failed) == 1
    assert failed[0][0] == row.label
    assert "DivergedError" in failed[0][-1]
    assert failed[0][3] == "failed"
    assert "round 1" in failed[0][4]


def test_every_row_and_every_scenario_has_its_command(document: Element, made: list[Board]) -> None:
    for board in made:
        codes = [c.text for c in section(document, board).all("code")]
        assert codes[0].startswith("pflbench run --algo ")
        for code in codes:
            words = shlex.split(code)
            assert words[:3] == ["pflbench", "run", "--algo"]
        for row in board.rows:
            own = [c for c in codes if shlex.split(c)[3] == row.algorithm]
            for command in row.commands.values():
                *most, option, seed = shlex.split(command)
                assert option == "--seed"
                assert any(set(most) <= set(shlex.split(c)) for c in own)
                assert any(seed in shlex.split(c)[-1].split(",") for c in own)


def test_the_command_of_a_scenario_runs_its_very_cells(
    results: Path, made: list[Board], document: Element, monkeypatch: pytest.MonkeyPatch
) -> None:
    (board,) = [b for b in made if "dirichlet" in b.title]
    command = section(document, board).all("code")[0].text
    assert sorted(shlex.split(command)[3].split(",")) == ["fedavg", "fedora", "local"]
    monkeypatch.chdir(results.parent)
    before = sorted(path.name for path in (results / "runs").iterdir())
    stamps = [(results / "runs" / n / "summary.json") for n in before]
    times = [s.stat().st_mtime_ns for s in stamps if s.exists()]
    found = CliRunner().invoke(main, [*shlex.split(command)[1:], "--results", str(results)])
    assert found.exit_code == 0, found.output
    assert sorted(path.name for path in (results / "runs").iterdir()) == before
    assert [s.stat().st_mtime_ns for s in stamps if s.exists()] == times


def test_parameters_off_their_default_are_listed_and_others_not(
    document: Element, made: list[Board]
) -> None:
    (board,) = [b for b in made if "iid" in b.title]
    table = next(
        t
        for t in section(document, board).all("table")
        if t.heads() == ["method", "parameter", "value", "default"]
    )
    told = {(row[1], row[2]) for row in table.cells()}
    assert ("alpha", "0.5") in told
    assert ("local_lr", "1e+30") in told
    assert {name for name, _ in told} == {"alpha", "local_lr"}
    (other,) = [b for b in made if "dirichlet" in b.title]
    assert "All methods ran with their default parameters." in section(document, other).text


def test_notes_and_words_are_shown(document: Element, made: list[Board]) -> None:
    for board in made:
        text = section(document, board).text
        assert " ".join(board.words.split()) in text
        for note in board.notes:
            assert " ".join(note.split()) in text
    assert any("fedavg-ft" in note for board in made for note in board.notes) or any(
        "fedavg-ft" in row.label and row.measures is None for board in made for row in board.rows
    )


def test_the_overview_has_every_method_on_every_scenario(
    document: Element, made: list[Board]
) -> None:
    table = document.one("section", id="overview").one("table")
    assert table.heads() == [
        "method",
        *(f"{board.title} · {len(board.seeds)} seeds" for board in made),
    ]
    told = {row[0]: row[1:] for row in table.cells()}
    for i, board in enumerate(made):
        for record in board.records():
            if record["test_accuracy"] is not None:
                expected = f"{percent(record['test_accuracy'])} ± {percent(record['test_std'])}"
                if record["rank"] is not None:
                    expected += f" ({ranks(record)})"
                assert told[record["algorithm"]][i] == expected


def test_each_term_is_explained_once(document: Element) -> None:
    terms = [dt.text for dt in document.one("section", id="glossary").all("dt")]
    assert len(terms) == len(set(terms))
    assert {"95 % t interval", "hurt %", "optimism"} <= set(terms)


def test_options_choose_title_and_scenarios(
    results: Path, made: list[Board], write: Report
) -> None:
    chosen = made[0]
    page = read(write(results, "--scenario", chosen.scenario_id[:6], "--title", "A & <B>"))
    assert page.one("h1").text == "A & <B>"
    assert page.one("head").one("title").text == "A & <B>"
    ids = [s.attributes["id"] for s in page.all("section", class_="scenario")]
    assert ids == [f"scenario-{chosen.scenario_id}"]
    assert not page.all("section", id="overview")


def test_the_same_results_give_the_same_file(results: Path, page: str, write: Report) -> None:
    assert write(results) == page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "nowhere/report.html"], "Folder 'nowhere' does not exist"),
        (["--scenario", "zzz"], "no scenario 'zzz'"),
        (["--dataset", "mnist"], "no data set with results 'mnist'"),
    ],
)
def test_what_cannot_be_done_is_said(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(main, ["report", "--results", str(results), *options])
    assert found.exit_code == 2
    assert words in found.output
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_no_report(tmp_path: Path) -> None:
    Store(tmp_path / "results", create=True).make()
    out = tmp_path / "report.html"
    arguments = ["report", "--results", str(tmp_path / "results"), "--out", str(out)]
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 2
    assert "nothing to report" in found.output
    assert not out.exists()


def test_runs_of_two_machines_are_pointed_out(
    results: Path, tmp_path: Path, made: list[Board], write: Report
) -> None:
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    (board, other) = sorted(made, key=lambda b: "iid" in b.title)
    assert "not comparable" not in section(read(write(copy)), board).text
    path = copy / "runs" / next(iter(board.rows[0].run_ids.values())) / "environment.json"
    told = json.loads(path.read_text("utf-8"))
    told |= {"cores": 77, "packages": {**told["packages"], "torch": "0.0.1"}}
    path.write_text(json.dumps(told), "utf-8")
    document = read(write(copy))
    text = section(document, board).text
    assert "Runs of 2 machines: seconds are not comparable." in text
    assert "Runs with 2 sets of package versions" in text
    assert "commits" not in text
    assert "77 cores" in text
    assert "not comparable" not in section(document, other).text


def test_the_published_results_fit_on_a_page(write: Report) -> None:
    published = Path(__file__).parents[2] / "results" / "published"
    started = time.process_time()
    page = write(published)
    assert time.process_time() - started < 20
    assert len(page.encode()) < 3_000_000
    complete = sum(run.status == "complete" for run in Store(published).runs())
    assert f"{complete} complete runs" in read(page).text


def test_what_was_tuned_is_told_of_every_row(results: Path, made: list[Board]) -> None:
    (board,) = [b for b in made if "iid" in b.title]
    rows = tuple(
        dataclasses.replace(row, tuned={"local": 7, "fedora": 9}.get(row.algorithm, 0))
        for row in board.rows
    )
    tuned = dataclasses.replace(board, rows=rows, notes=("Tuned: those.",))
    document = read(render(report([tuned], Store(results), title="x")))
    assert "Tuned: those." in document.one("aside", class_="notes").text
    table = next(t for t in document.all("table") if "found in" in t.heads())
    told = {(row[0].partition("(")[0], row[1]): row[-1] for row in table.cells()}
    assert told["local", "all"] == "7 trials"
    assert told["fedora", "alpha"] == "9 trials"
    assert told["fedavg", "local_lr"] == "not tuned"


TITLES = [
    "Learning curves",
    "Distribution over clients",
    "Each client's gain over local",
    "Accuracy against communication",
    "Partition",
]


def test_every_scenario_has_its_pictures_with_every_method(
    document: Element, made: list[Board]
) -> None:
    for board in made:
        pictures = section(document, board).all("figure", class_="pictures")
        assert [p.one("h4").text for p in pictures] == TITLES
        tabs = [panel.attributes["data-tab"] for panel in pictures[0].all("div", class_="panel")]
        assert tabs == ["Rounds", "Bytes", "Seconds"]
        legend = section(document, board).one("ul", class_="legend").all("li")
        ranked = [row.label for row in board.rows if row.measures is not None]
        assert [item.text for item in legend] == ranked
        numbers = {item.attributes["data-method"] for item in legend}
        for figure in pictures[:4]:
            for svg in figure.all("svg", class_="picture"):
                drawn = {g.attributes["data-method"] for g in svg.all("g", class_="method")}
                left_out = {
                    item.attributes["data-method"] for item in legend if item.text == "local"
                }
                assert numbers - left_out <= drawn <= numbers


def test_one_partition_is_drawn_once(results: Path, made: list[Board]) -> None:
    (board,) = [b for b in made if "iid" in b.title]
    longer = dataclasses.replace(board, scenario_id="0" * 12, title="longer")
    document = read(render(report([board, longer], Store(results), title="x")))
    first, second = (
        next(f for f in s.all("figure", class_="pictures") if f.one("h4").text == "Partition")
        for s in document.all("section", class_="scenario")
    )
    assert len(first.all("svg")) == 1
    assert not second.all("svg")
    assert second.one("a").attributes["href"] == f"#scenario-{board.scenario_id}"
    assert board.title in second.one("a").text


def test_methods_are_ranked_over_scenarios_and_tested_over_data_sets(
    document: Element, results: Path, made: list[Board]
) -> None:
    few = document.one("section", id="ranks")
    assert len(few.all("svg", class_="picture")) == 1
    assert "1 data set with 2 blocks: no test" in " ".join(few.text.split())
    assert "none are told apart. They are ranks among these 3 methods" in few.text
    (board,) = [b for b in made if "iid" in b.title]
    blocks = [
        dataclasses.replace(
            board,
            scenario_id=f"{i:012x}",
            dataset=f"data {i}",
            scenario={**board.scenario, "fingerprint": f"{i}"},
        )
        for i in range(1, 7)
    ]
    many = read(render(report(blocks, Store(results), title="x"))).one("section", id="ranks")
    (svg,) = many.all("svg", class_="picture")
    assert {"local", "fedavg", "fedavg-ft"} <= {
        t.text.split("  ")[0].split(" ")[0] for t in svg.all("text")
    }
    assert "6 data sets with 6 blocks, Friedman p" in " ".join(svg.text.split())
    assert "Nemenyi" in many.text
