"""NAME+ft at the command line: run, stored, read back, reproduced, refused."""

from __future__ import annotations

import pytest
from calling import Call

from pflbench.results import Store


@pytest.fixture
def run(pflbench: Call, data: str) -> Call:
    return lambda *more: pflbench(
        "run", "--dataset", data, "--rounds", "1", "--seed", "0", "--results", "r", *more
    )


def test_a_variant_is_stored_under_its_name_and_reproduced(pflbench: Call, run: Call) -> None:
    done = run("--algo", "fedprox+ft(mu=0.1)", "--set", "fedprox+ft.ft_epochs=2")
    assert done.exit_code == 0, done.output
    (stored,) = Store("r").runs()
    assert stored.cell["algorithm"]["name"] == "fedprox+ft"
    assert stored.cell["algorithm"]["parameters"] == {"mu": 0.1, "ft_epochs": 2}
    assert "fedprox+ft(mu=0.1, ft_epochs=2)" in pflbench("leaderboard", "--results", "r").output
    again = pflbench("reproduce", stored.id, "--results", "r")
    assert again.exit_code == 0, again.output


def test_a_method_that_personalises_is_refused_before_it_runs(run: Call) -> None:
    refused = run("--algo", "fedper+ft")
    assert refused.exit_code == 2
    assert "fedper+ft does not exist: +ft fine-tunes the global model" in refused.stderr


def test_a_variant_is_shown_as_its_method_is(pflbench: Call) -> None:
    shown = pflbench("show", "fedprox+ft")
    assert shown.exit_code == 0
    assert "ft_epochs" in shown.output
    wrong = pflbench("show", "fedprx+ft")
    assert wrong.exit_code == 2
    assert "fedprox" in wrong.stderr
