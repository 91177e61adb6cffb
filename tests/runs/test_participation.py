"""Participation as part of a scenario: identity, what is stored, and going on where it stopped."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from small_federations import UNEVEN, federation_of
from test_resuming import TABLES, TIMINGS, StopsAfter

import pflbench
from pflbench import Federation
from pflbench.analysis import boards
from pflbench.cli.main import main
from pflbench.errors import InputError, UnknownNameError
from pflbench.report.tables.render import render
from pflbench.results import Store, StoredRun
from pflbench.runs import RunRequest, execution, plan
from pflbench.schema.scenario import Choice

N = len(UNEVEN)
RULES = [
    "by-size(fraction=0.6)",
    "dropout(p=0.5, fraction=0.8)",
    "stragglers(share=0.6, work=0.4)",
    "join(at=3, share=0.6, over=2)",
    "leave(at=3, share=0.6, over=2, forget=true)",
    "by-label(period=4, awake=0.3)",
    "dropout(p=1)",
    "join(at=3, share=1)",
]
SHORT: dict[str, Any] = {"rounds": 5, "eval_every": 2, "device": "cpu"}


def planned(participation: Any = None, **options: Any) -> Any:
    request = RunRequest("fedavg", federation_of(), participation=participation, **options)
    return plan(request).cell


# Identity


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (0.1, "uniform(fraction=0.1)"),
        (0.1, "uniform"),
        ("0.1", "uniform(fraction=1e-1)"),
        (None, "uniform(fraction=1)"),
        (1, "uniform(fraction=1.0)"),
    ],
)
def test_a_plain_number_is_uniform_and_the_run_it_was(number: Any, rule: str) -> None:
    one, other = planned(number), planned(rule)
    assert one.id == other.id
    assert one.to_json() == other.to_json()
    assert isinstance(other.scenario.participation, float)


def test_a_run_with_a_plain_number_gives_what_uniform_gives(federation: Federation) -> None:
    one, other = (
        pflbench.run("fedora", federation, participation=p, **SHORT)
        for p in (0.4, "uniform(fraction=0.4)")
    )
    assert one.run_id == other.run_id
    for name in ("metrics", "participation", "messages"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


def test_rules_are_told_apart() -> None:
    ids = {planned(rule).id for rule in [None, 0.1, *RULES, "dropout(p=0.5)", "leave", "join"]}
    assert len(ids) == len(RULES) + 5
    assert planned("dropout").id == planned("dropout(fraction=1, p=0.2)").id


def test_the_reference_participation_yields_to_a_rule() -> None:
    cell = planned("dropout(p=0.3)")
    assert cell.scenario.participation == Choice("dropout", {"p": 0.3, "fraction": 1.0})
    stored = cell.to_json()["scenario"]["participation"]
    assert stored == {"name": "dropout", "parameters": {"p": 0.3, "fraction": 1.0}, "version": ""}


@pytest.mark.parametrize(
    ("participation", "said"),
    [
        ("dropot", "Did you mean 'dropout'"),
        ("dropout(q=1)", "'q'"),
        ("dropout(p=2)", "expected a number ≥ 0 and ≤ 1"),
        ("uniform(fraction=0)", "uniform.fraction"),
        ("join(at=0)", "join.at"),
        ("leave(forget=perhaps)", "leave.forget"),
        ("0", "participation"),
        ("nan", "participation"),
        (1.5, "participation"),
        ("dropout(", "is not a participation"),
        ([1], "participation"),
    ],
)
def test_what_is_no_participation_is_refused(participation: Any, said: str, results: Path) -> None:
    with pytest.raises((InputError, UnknownNameError)) as error:
        pflbench.run("fedavg", federation_of(), results=results, participation=participation)
    assert said in str(error.value)
    assert not results.exists()


# What is stored


@pytest.mark.mostly_slow("[fedora-")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", ["fedora", "fedavg", "local"])
def test_the_tables_agree(rule: str, method: str, federation: Federation) -> None:
    result = pflbench.run(method, federation, participation=rule, **SHORT)
    who, rounds = result.participation, result.rounds.set_index("round")
    invited = who[who["invited"]].groupby("round")
    assert rounds["cohort"].sum() == who["invited"].sum()
    assert rounds["uploads"].sum() == who["uploaded"].sum()
    for r, part in invited:
        row = rounds.loc[r]
        assert part["client"].is_monotonic_increasing
        assert part["client"].is_unique
        assert (len(part), part["uploaded"].sum()) == (row["cohort"], row["uploads"])
        assert part["steps"].sum() == row["steps"]
        assert ((part["steps"] > 0) == part["uploaded"]).all()
        assert ((part["work"] > 0) == part["uploaded"]).all()
    assert rounds["train_loss"].isna().tolist() == (rounds["uploads"] == 0).tolist()
    assert result.summary["local_steps"] == who["steps"].sum()
    sent = result.messages[result.messages["round"] > 0].groupby(["round", "direction"])["bytes"]
    for (r, direction), size in sent.sum().items():
        assert rounds.loc[r, f"bytes_{direction}"] == size
    assert math.isfinite(result.summary["test_accuracy"])


def test_only_who_is_invited_has_a_row() -> None:
    federation = federation_of([2] * 300)
    result = pflbench.run("fedavg", federation, participation=0.02, **SHORT)
    assert len(result.participation) == 5 * 6
    assert result.participation["invited"].all()


def test_what_could_not_be_forgotten_is_in_the_summary(federation: Federation) -> None:
    said = {
        (method, rule): pflbench.run(method, federation, participation=rule, **SHORT).summary[
            "not_forgotten"
        ]
        for method in ("fedavg", "fedora")
        for rule in ("leave(at=2, forget=true)", "leave(at=2)")
    }
    assert {key for key, words in said.items() if words} == {("fedavg", "leave(at=2, forget=true)")}
    assert said["fedavg", "leave(at=2, forget=true)"] == "their part in the global model"


def test_ages_of_uploads_are_columns_of_rounds(federation: Federation) -> None:
    fedora = pflbench.run("fedora", federation, participation="leave(at=2, share=0.6)", **SHORT)
    assert fedora.rounds["upload_age_max"].tolist() == [0, 1, 2, 3, 4]
    assert fedora.rounds["upload_age_mean"].tolist() == pytest.approx([0.6 * r for r in range(5)])
    fedavg = pflbench.run("fedavg", federation, participation="leave(at=2, share=0.6)", **SHORT)
    assert "upload_age_max" not in fedavg.rounds


# Going on


@pytest.mark.mostly_slow("fedora-join(at=3, share=0.6", "fedora-dropout(p=1)")
@pytest.mark.parametrize(
    ("method", "rule"),
    [
        *(("fedora", rule) for rule in RULES),
        *((method, RULES[4]) for method in ("pfedhn", "fedavg", "local")),
        *((method, RULES[3]) for method in ("pfedhn-pc", "fedavg-ft", "fedprox")),
    ],
)
def test_an_interrupted_run_goes_on_the_same(
    method: str, rule: str, federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**SHORT, "participation": rule}
    pflbench.run(method, federation, results=tmp_path / "whole", **options)
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    for rounds in (2, 3, 4, 5):
        with pytest.raises(KeyboardInterrupt):
            pflbench.run(
                method,
                federation,
                results=tmp_path / "stopped",
                observers=[StopsAfter(rounds)],
                **options,
            )
    pflbench.run(method, federation, results=tmp_path / "stopped", **options)
    (whole,), (stopped,) = (Store(tmp_path / name).runs() for name in ("whole", "stopped"))
    same_run(stopped, whole)


def same_run(a: StoredRun, b: StoredRun) -> None:
    assert (a.id, a.status, b.status) == (b.id, "complete", "complete")
    for name in TABLES:
        one, other = (r.table(name).drop(columns=TIMINGS, errors="ignore") for r in (a, b))
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert {k: v for k, v in a.summary.items() if k != "seconds"} == {
        k: v for k, v in b.summary.items() if k != "seconds"
    }


# The command line


@pytest.mark.parametrize("rule", [RULES[1], RULES[4], "uniform(fraction=0.5)", "0.5"])
def test_the_command_of_a_run_runs_it_again(rule: str, digits: str, tmp_path: Path) -> None:
    command = [
        "run",
        "--algo",
        "fedavg",
        "--dataset",
        digits,
        "--clients",
        "4",
        "--rounds",
        "4",
        "--participation",
        rule,
        "--quiet",
    ]
    done = CliRunner().invoke(main, [*command, "--results", str(tmp_path / "one")])
    assert done.exit_code == 0, done.output
    (one,) = Store(tmp_path / "one").runs()
    words = shlex.split(str(one.labels["command"]))[1:]
    done = CliRunner().invoke(main, [*words, "--quiet", "--results", str(tmp_path / "two")])
    assert done.exit_code == 0, done.output
    (two,) = Store(tmp_path / "two").runs()
    assert one.id == two.id
    json.dumps(one.cell)
    written = render(boards([one]), "text")
    if rule == RULES[1]:
        assert "participation dropout(p=0.5, fraction=0.8)" in written
        shown = CliRunner().invoke(
            main, ["show", "run", one.id, "--results", str(tmp_path / "one")]
        )
        assert "dropout(p=0.5, fraction=0.8)" in shown.output
    if "0.5" in (rule, rule[-4:-1]):
        assert "50 % of the clients in each round" in written


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("droput(p=0.1)", "There is no participation 'droput'. Did you mean 'dropout'?"),
        ("dropout(p=3)", "dropout.p = '3' is not valid"),
        ("0", "--participation '0' is not valid: expected a number > 0 and ≤ 1."),
    ],
)
def test_a_wrong_participation_is_said_in_one_sentence(
    value: str, said: str, digits: str, results: Path
) -> None:
    command = ["run", "--algo", "fedavg", "--dataset", digits, "--participation", value]
    done = CliRunner().invoke(main, [*command, "--results", str(results)])
    assert done.exit_code == 2
    assert said in done.output
    assert not results.exists()


def test_participations_are_listed_and_shown() -> None:
    listed = CliRunner().invoke(main, ["list", "participations"])
    assert listed.exit_code == 0
    for name in ("uniform", "by-size", "dropout", "stragglers", "join", "leave", "by-label"):
        assert name in listed.output
    shown = CliRunner().invoke(main, ["show", "leave"])
    assert shown.exit_code == 0
    assert "forget" in shown.output
