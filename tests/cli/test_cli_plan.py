"""`pflbench plan`: how many seeds would show an effect, from stored runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from calling import SMALL, Call, files


@pytest.fixture
def ran(pflbench: Call, folder: Path, data: str) -> Path:
    """Runs of three methods with three seeds, and of two others with one, in another scenario."""
    small = (*SMALL, "--quiet")
    result = pflbench(
        "run", "--algo", "local,fedavg,fedprox", "--dataset", data, "--seed", "0,1,2", *small
    )
    assert result.exit_code == 0, result.stderr
    other = pflbench("run", "--algo", "local,fedavg", "--dataset", data, *small, "--lr", "0.01")
    assert other.exit_code == 0, other.stderr
    return folder / "results"


@pytest.mark.slow
def test_a_plan_for_people_and_for_scripts(pflbench: Call, ran: Path) -> None:
    before = files(ran)
    shown = pflbench("plan", "--effect", "5")
    assert shown.exit_code == 0, shown.stderr
    said = " ".join(shown.stdout.split())
    assert "Seeds that show a row 5 points ahead of all others, with a power of 80 %" in said
    assert "from 3 stored seeds" in said
    assert "Whole board:" in said
    assert "no verdict" in said  # of three seeds
    assert "estimated from 3 seeds" in said
    assert "one seed, which says nothing" in shown.stderr  # of the other scenario
    (plan,) = json.loads(pflbench("plan", "--effect", "5", "--format", "json").stdout)
    assert (plan["effect_points"], plan["power"], plan["stored_seeds"]) == (5, 0.8, 3)
    assert {row["method"] for row in plan["rows"]} == {"fedavg", "fedprox"}
    for row in plan["rows"]:
        assert row["power_with_stored_seeds"] is None
        assert row["seeds"] is None or row["seeds"] >= 5
    most = [row["seeds"] for row in plan["rows"]]
    assert plan["whole_board"]["seeds"] == (None if None in most else max(most))
    assert files(ran) == before


@pytest.mark.slow
def test_methods_and_scenarios_are_chosen(pflbench: Call, ran: Path) -> None:
    (plan,) = json.loads(pflbench("plan", "--algo", "fedprox", "--format", "json").stdout)
    assert [row["method"] for row in plan["rows"]] == ["fedprox"]
    chosen = pflbench("plan", "--scenario", plan["scenario"][:6], "--power", "0.9")
    assert "power of 90 %" in chosen.stdout
    unknown = pflbench("plan", "--algo", "fedproxx")
    assert unknown.exit_code == 2
    assert "fedprox" in unknown.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--effect", "0"), "--effect"),
        (("--effect", "101"), "--effect"),
        (("--effect", "nan"), "--effect"),
        (("--power", "1"), "--power"),
        (("--power", "80"), "--power"),
    ],
)
def test_numbers_out_of_bounds_are_refused(
    pflbench: Call, folder: Path, options: tuple[str, ...], said: str
) -> None:
    result = pflbench("plan", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_nothing_to_plan_with_is_said(pflbench: Call, folder: Path, data: str) -> None:
    assert pflbench("run", "--algo", "local", "--dataset", data, *SMALL, "--quiet").exit_code == 0
    result = pflbench("plan")
    assert result.exit_code == 2
    assert "expected complete runs of local and of another method" in result.stderr
