"""What `pflbench run` and `check` say of a run, and of what cannot be, in one line each."""

from __future__ import annotations

import pytest
from calling import Call

from pflbench.conformance.kit import subject


@pytest.fixture
def run(pflbench: Call, data: str) -> Call:
    return lambda *more: pflbench(
        "run", "--dataset", data, "--seed", "0", "--clients", "3", "--device", "cpu", *more
    )


def test_a_round_is_called_selected_only_among_several(run: Call) -> None:
    one = run("--algo", "fedbn", "--rounds", "1").stderr
    assert "(round 1, the only one that was evaluated)" in one
    assert "selected on validation" not in one
    several = run("--algo", "local", "--rounds", "2", "--eval-every", "1").stderr
    assert "selected on validation)" in several
    # The built-in network of this data set has no normalisation, and fedbn says so once.
    assert one.count("this network has no normalisation layers") == 1


def test_a_partition_that_cannot_be_is_named_as_it_was_asked_for(run: Call) -> None:
    wrong = run("--algo", "local", "--partition", "pfllib-dir(alpha=100)", "--clients", "80")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("Error: pfllib-dir cannot be made: client ")
    assert "each needs three" in wrong.stderr


def test_models_of_a_method_without_one_network_are_not_kept(run: Call) -> None:
    refused = run("--algo", "knnper", "--keep-models", "last")
    assert refused.exit_code == 2
    assert "keeps one network a client, and knnper predicts with more" in refused.stderr


def test_the_kit_knows_variants(pflbench: Call) -> None:
    assert subject("moon+ft").spec.fine_tuned
    refused = pflbench("check", "fedper+ft")
    assert refused.exit_code == 2
    assert "fedper+ft does not exist" in refused.stderr
