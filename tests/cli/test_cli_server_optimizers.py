"""fedopt(optimizer=NAME): any installed optimizer at the server, stored, reproduced, refused."""

from __future__ import annotations

import pytest
from calling import Call

from pflbench.results import Store


@pytest.fixture
def run(pflbench: Call, data: str) -> Call:
    return lambda *more: pflbench(
        "run", "--dataset", data, "--rounds", "1", "--seed", "0", "--results", "r", *more
    )


def test_an_optimizer_with_parameters_is_stored_in_one_form_and_reproduced(
    pflbench: Call, run: Call
) -> None:
    method = "fedopt(server_lr=0.1, optimizer=adagrad( eps=1e-3, initial=0 ))"
    done = run("--algo", method)
    assert done.exit_code == 0, done.output
    again = run("--algo", "fedopt(server_lr=0.1)", "--set", "fedopt.optimizer=adagrad(eps=0.001)")
    assert again.exit_code == 0, again.output
    (stored,) = Store("r").runs()
    choice = stored.cell["algorithm"]
    assert choice["parameters"]["optimizer"] == "adagrad(eps=0.001)"
    assert choice["version"] == "1, adagrad 1"
    assert "optimizer=adagrad(eps=0.001)" in pflbench("leaderboard", "--results", "r").output
    reproduced = pflbench("reproduce", stored.id, "--results", "r")
    assert reproduced.exit_code == 0, reproduced.output


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("fedopt(optimizer=adma)", "'adam'"),
        ("fedopt(optimizer=adam(beta3=1))", "parameter of adam"),
        ("fedopt(optimizer=adam, server_momentum=0.9)", "server_momentum = 0.9 is SGD's"),
        ("fedopt(optimizer=adam(state=kept))", "Expected no state=kept"),
    ],
)
def test_what_no_server_can_have_is_refused(run: Call, method: str, words: str) -> None:
    refused = run("--algo", method)
    assert words in refused.stderr
    assert refused.exit_code == 2, refused.output
