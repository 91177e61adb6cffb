"""The paragraph of a paper is made of what the runs say, and cites what it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from stored_runs import MakeRun, scenario

from pflbench.analysis import boards
from pflbench.cli.main import main
from pflbench.errors import InputError
from pflbench.report.tables.citations import cited
from pflbench.report.tables.methods_section import MethodsSection, methods_section
from pflbench.results import Store

RIGHT = {30: ([5] * 4, [5, 6, 5, 6])}


@pytest.fixture
def described(store: Store, make_run: MakeRun) -> MethodsSection:
    for seed in (0, 1):
        make_run("local", seed, RIGHT)
        make_run("fedprox", seed, RIGHT, parameters={"mu": 0.5})
    make_run("fedavg", 0, None, failure={"error": "DivergedError", "round": 3})
    runs = store.runs()
    return methods_section(boards(runs, lambda name: {"mu": 0.01}), runs)


def test_it_says_methods_data_seeds_selection_tuning_and_statistics(
    described: MethodsSection,
) -> None:
    said = described.to_text()
    for words in (
        "All 4 runs were made with pflbench [pflbench].",
        "The methods are fedprox(mu=0.5) [fedprox] and local;",
        "The scenario [mnist]: 4 clients of mnist",
        "the same 2 seeds (0, 1)",
        "at the round selected on validation",
        "Nothing is tuned",
        "With fewer than 5 seeds no difference between methods is tested.",
        "Not ranked, and not described here: fedavg",
    ):
        assert words in said
    assert "t tests" not in said  # two seeds have none


def test_five_seeds_are_tested_and_the_paragraph_says_how(store: Store, make_run: MakeRun) -> None:
    for seed in range(5):
        make_run("local", seed, RIGHT)
    runs = store.runs()
    said = methods_section(boards(runs), runs).to_text()
    assert "two-sided paired t tests over seeds" in said
    assert "fewer than 5 seeds" not in said


def test_what_only_one_scenario_has_is_said_of_it(store: Store, make_run: MakeRun) -> None:
    for clients, seeds in ((4, 1), (5, 2)):
        of = scenario(clients=clients)
        for seed in range(seeds):
            make_run("local", seed, RIGHT, of=of)
    runs = store.runs()
    said = methods_section(boards(runs), runs).to_text()
    assert re.search(r"clients 4: Every method was run with one seed \(0\)\.", said)
    assert said.count("Nothing is tuned") == 1


def test_every_citation_has_an_entry_and_every_entry_is_cited(described: MethodsSection) -> None:
    keys = set(re.findall(r"@misc\{(.+),", described.to_bibtex()))
    in_latex = re.findall(r"\\cite\{(.+?)\}", described.to_latex())
    assert {key for group in in_latex for key in group.split(",")} == keys
    assert {"pflbench", "fedprox", "mnist"} == keys
    assert "eprint = {1812.06127}" in described.to_bibtex()


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("Li et al., MLSys 2020, arXiv 1812.06127", ("Li and others", "2020", "MLSys")),
        ("Cheng, Chadha, Duchi 2021, arXiv 2108.07313", ("Cheng and Chadha and Duchi", "2021")),
        ("Chen and Chao, ICLR 2022, arXiv 2107.00778", ("Chen and Chao", "2022", "ICLR")),
        ("Hsu, Qi, Brown, arXiv 1909.06335", ("Hsu and Qi and Brown", "2019", "1909.06335")),
        ("Wu, Bao, KDD 2023, doi 10.1145/3580305", ("Wu and Bao", "KDD", "10.1145/3580305")),
        ("Krizhevsky 2009", ("Krizhevsky", "2009")),
    ],
)
def test_citations_of_records_are_read(line: str, fields: tuple[str, ...]) -> None:
    entry = cited([("x", line)])["x"].bibtex()
    for field in fields:
        assert f"= {{{field}}}," in entry


def test_methods_of_one_paper_share_its_entry() -> None:
    found = cited([("pfedhn", "A 2021"), ("pfedhn-pc", "A 2021"), ("local", "")])
    assert {name: one.key for name, one in found.items()} == {
        "pfedhn": "pfedhn",
        "pfedhn-pc": "pfedhn",
    }


def test_results_without_complete_runs_are_refused(store: Store, make_run: MakeRun) -> None:
    make_run("local", 0, None)
    with pytest.raises(InputError, match="needs complete runs"):
        methods_section(boards(store.runs()), store.runs())


def test_the_command_prints_it_in_lines_of_80(
    store: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("fedavg", 0, RIGHT)
    asked = ["methods-section", "--results", str(store.root)]
    printed = CliRunner().invoke(main, asked)
    assert printed.exit_code == 0, printed.output
    paragraph, _, bibtex = printed.stdout.partition("\n\n")
    assert max(map(len, paragraph.splitlines())) <= 80
    alone = CliRunner().invoke(main, [*asked, "--bibtex"])
    assert alone.stdout == bibtex
