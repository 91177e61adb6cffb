"""One rule for all shares, in every place that takes one; its number wherever it is printed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from small_federations import federation_of

import pflbench
from pflbench.analysis.row_names import describe, title
from pflbench.cli.main import main
from pflbench.engine.batches import part_of
from pflbench.errors import InputError
from pflbench.federation import Census, Participation, Population
from pflbench.runs import RunRequest
from pflbench.runs.identity import identify
from pflbench.schema.expressions import parse_expression
from pflbench.schema.new_clients import NewClients
from pflbench.schema.parameters import parse_parameters
from pflbench.schema.plugins import installed
from pflbench.schema.scenario import Choice
from pflbench.schema.shares import count_of
from pflbench.schema.specs import resolve


def by_hand(share: float, whole: int, most: int | None = None) -> int:
    """The rule apart from the code: nearest number, a half to the even one, one at least."""
    exact = share * whole
    low = int(exact)
    near = low + (exact - low > 0.5 or (exact - low == 0.5 and low % 2 == 1))
    return min(max(near, 1), whole if most is None else most)


def made(kind: str, text: str) -> Any:
    registry = installed()
    expression = parse_expression(text, kind=kind)
    spec = registry.get(getattr(registry, kind), expression.name)
    parameters: Any = parse_parameters(spec.parameters, expression.arguments, owner=spec.name)
    make = resolve(spec.make, owner=spec.name)
    if kind == "populations":
        return make(parameters)
    return lambda clients: make(parameters, Census(federation_of([3] * clients), 0))


def changed(text: str, clients: int) -> int:
    population: Population = made("populations", text)
    return int(population.groups(clients, np.random.default_rng(0)).sum())


def attending(text: str, clients: int) -> Participation:
    participation: Participation = made("participations", text)(clients)
    return participation


ROUND = 3
PLACES: dict[str, Callable[[float, int], int]] = {
    "uniform": lambda s, n: len(attending(f"uniform(fraction={s})", n).attend(0).invited),
    "by-size": lambda s, n: len(attending(f"by-size(fraction={s})", n).attend(0).invited),
    "dropout": lambda s, n: len(attending(f"dropout(fraction={s})", n).attend(0).invited),
    "stragglers": lambda s, n: int(
        (attending(f"stragglers(share={s})", n).attend(0).work < 1).sum()
    ),
    "join": lambda s, n: len(attending(f"join(share={s}, at=3)", n).attend(2).joined),
    "leave": lambda s, n: len(attending(f"leave(share={s}, at=3)", n).attend(2).left),
    "by-label": lambda s, n: sum(
        len(attending(f"by-label(period={n}, awake={s})", 1).attend(r).invited) for r in range(n)
    ),
    "permuted-labels": lambda s, n: changed(f"permuted-labels(share={s})", n),
    "local steps": lambda s, n: len(part_of(np.zeros((n, 1)), s)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("share", "whole"),
    [
        (0.25, 10),
        (0.25, 14),
        (0.5, 5),
        (0.5, 7),
        (0.04, 10),
        (0.001, 3),
        (0.9, 36),
        (0.1, 36),
        (1.0, 4),
        (0.5, 1),
        (0.75, 2),
    ],
)
def test_a_share_is_one_number_in_every_place(place: str, share: float, whole: int) -> None:
    assert PLACES[place](share, whole) == by_hand(share, whole)


@given(share=st.floats(0, 1, exclude_min=True), whole=st.integers(2, 500))
def test_a_share_is_at_least_one_and_leaves_what_must_stay(share: float, whole: int) -> None:
    assert count_of(share, whole) == by_hand(share, whole)
    assert count_of(0, whole) == 0
    if share < 1:
        held = NewClients(share, (1,)).count(whole)
        assert held == by_hand(share, whole, whole - 1)
        assert changed(f"foreign(share={share!r})", whole) == held
    if share <= 0.5:
        assert changed(f"groups(minority={share!r})", whole) == by_hand(share, whole, whole // 2)


# Identity


@pytest.fixture
def points(folder: Path) -> str:
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = (rng.normal(size=(600, 4)) + np.eye(3, 4)[y]).astype(np.float32)
    np.savez(folder / "points.npz", x=x, y=y)
    return "npz:points.npz"


@pytest.mark.parametrize(
    ("options", "clients", "other"),
    [
        ({"population": "permuted-labels(share=0.25)"}, 36, False),
        ({"population": "permuted-labels(share=0.25)"}, 10, True),  # 3 before, now 2
        ({"population": "permuted-labels(share=0.25)"}, 14, False),  # 4 by either rule
        ({"population": "groups(minority=0.5)"}, 5, False),  # at most half, whatever the rule
        ({"population": "groups(minority=0.25)"}, 10, True),
        ({"participation": "stragglers(share=0.3)"}, 10, False),
        ({"participation": "stragglers(share=0.04)"}, 10, True),  # nobody before, now 1
        ({"participation": "stragglers(share=0)"}, 10, False),
        ({"participation": "join(at=2, share=0.05)"}, 10, True),
        ({"participation": "leave(at=2, share=0.05)"}, 10, True),
        ({"participation": "leave(at=2, share=0.06)", "new_clients": 0.2}, 10, True),
        ({"participation": "leave(at=2, share=0.06, fraction=0.25)"}, 10, False),
        ({"participation": "by-label(period=2, awake=0.1)"}, 10, False),
        ({"participation": 0.25}, 10, False),
        ({"participation": 0.01, "new_clients": 0.25}, 10, False),
    ],
    ids=str,
)
def test_an_identity_changes_only_where_a_number_does(
    options: dict[str, Any], clients: int, other: bool, points: str
) -> None:
    request = RunRequest("local", points, clients=clients, rounds=3, **options)
    cell = identify(request).cell
    said = [
        choice.version
        for choice in (cell.scenario.population, cell.scenario.participation)
        if isinstance(choice, Choice)
    ]
    assert ("one-rule" in said) == other


def test_a_run_of_before_says_what_it_had(points: str) -> None:
    options = {
        "population": "permuted-labels(share=0.25)",
        "participation": "stragglers(share=0.04)",
    }
    request = RunRequest("local", points, clients=10, rounds=3, **options)
    scenario = identify(request).cell.scenario
    assert isinstance(scenario.participation, Choice)
    assert scenario.population is not None
    now = title(points, scenario)
    assert "permuted-labels(share=0.25) (share: 2 of 10 clients)" in now
    assert "(share: 1 of 10 clients)" in now
    before = title(
        points,
        dataclasses.replace(
            scenario,
            population=dataclasses.replace(scenario.population, version=""),
            participation=dataclasses.replace(scenario.participation, version=""),
        ),
    )
    assert "permuted-labels(share=0.25) (share: 3 of 10 clients)" in before
    assert "(share: 0 of 10 clients)" in before


# Words


@pytest.mark.slow
def test_the_number_stands_beside_the_share_wherever_it_is_printed(points: str) -> None:
    run = [
        "run",
        "--algo",
        "local,fedavg",
        "--dataset",
        points,
        "--clients",
        "10",
        "--rounds",
        "2",
        "--participation",
        "stragglers(share=0.04, fraction=0.25)",
        "--population",
        "permuted-labels(share=0.25)",
        "--new-clients",
        "0.2",
        "--eval-every",
        "2",
    ]
    said = {
        "population": "permuted-labels(share=0.25) (share: 2 of 10 clients)",
        "participation": "(share: 1 of 8 clients; fraction: 2 of 8 clients)",
        "new clients": "(2 of 10)",
    }

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(main, list(arguments))
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    first = call(*run)
    (of, *_) = [part for part in first.split("local on ") if "2 rounds" in part]
    shown = {
        "first lines": of.partition(", run ")[0],
        "rehearsal": call(*run, "--dry-run"),
        "status": call("status"),
        "board": call("leaderboard"),
        "markdown": call("leaderboard", "--format", "markdown").replace("\\", ""),
    }
    told = json.loads(CliRunner().invoke(main, ["status", "--format", "json"]).stdout)
    shown["run"] = call("show", "run", told["cells"][0]["run"])
    call("report")
    shown["report"] = " ".join(Path("report.html").read_text().split())
    for where, text in shown.items():
        for number in said.values():
            assert number in text, (where, number)


def test_a_plain_share_has_its_number_and_whole_ones_have_none(points: str) -> None:
    def words(**options: Any) -> tuple[str, str]:
        request = RunRequest("local", points, clients=10, rounds=3, **options)
        scenario = identify(request).cell.scenario
        return title("x", scenario), describe(scenario, {})

    short, long = words(participation=0.25)
    assert short.endswith("participation 0.25 (2 of 10)")
    assert "25 % of the clients in each round (2 of 10);" in long
    short, long = words(participation="dropout(p=0.5)", new_clients=0.01)
    assert "dropout(p=0.5, fraction=1) · new clients 0.01 (1 of 10)" in short
    assert "1 % of the clients (1 of 10) held out" in long
    assert "evaluated after the last round" in long  # the data set's own are 10 rounds apart
    assert "(awake: 2 of 3 rounds)" in words(participation="by-label(period=3, awake=0.5)")[0]
    some = words(participation="leave(at=2, share=0.5, fraction=0.5)")[0]
    assert "(share: 5 of 10 clients; fraction: 5 of 10 clients when all are present)" in some


# Rounds that a run does not reach

REACH: list[tuple[dict[str, Any], str]] = [
    ({"participation": "leave(at=6)"}, "a client leaves in round 6, and the run's last round is 3"),
    ({"participation": "leave(at=4, share=0.01)"}, "a client leaves in round 4"),
    ({"participation": "join(at=6)"}, "a client joins in round 6"),
    ({"participation": "join(at=3, over=5)"}, "a client joins in round 7"),
    ({"participation": "by-label(period=4)"}, "its cycle has 4 rounds"),
    ({"eval_every": 4}, "eval_every = 4 is not reached: the run's last round is 3"),
    ({"new_clients": 0.2, "onboard_at": "4"}, "clients join after round 4"),
]
REACHED: list[dict[str, Any]] = [
    {"participation": "leave(at=3)"},
    {"participation": "join(at=3)"},
    {"participation": "leave(at=9, share=0)"},
    {"participation": "join(at=1, share=0)"},
    {"participation": "join(at=1, over=2)"},
    {"participation": "leave(at=2, over=2)"},
    {"participation": "by-label(period=3)"},
    {"eval_every": 3},
    {},
    {"new_clients": 0.2, "onboard_at": "3"},
]


def options(asked: dict[str, Any]) -> list[str]:
    return [
        word
        for name, value in asked.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]


@pytest.mark.parametrize(("asked", "words"), REACH, ids=str)
def test_what_a_run_does_not_reach_is_refused(
    asked: dict[str, Any], words: str, points: str, folder: Path
) -> None:
    command = ["run", "--algo", "local", "--dataset", points, "--clients", "10", "--rounds", "3"]
    for more in ([], ["--dry-run"]):
        done = CliRunner().invoke(main, [*command, *options(asked), *more])
        assert done.exit_code == 2
        assert words in done.stderr
    with pytest.raises(InputError, match="is not reached"):
        pflbench.run("local", points, clients=10, rounds=3, **asked)
    assert [path.name for path in folder.iterdir()] == ["points.npz"]


@pytest.mark.parametrize("rule", ["join(at=1)", "join(at=1, over=2, share=0.1)"])
def test_joining_late_that_nobody_does_is_refused(rule: str, points: str, folder: Path) -> None:
    words = "lets no client join late: joining in round 1 is joining from the beginning"
    command = ["run", "--algo", "local", "--dataset", points, "--clients", "10", "--rounds", "3"]
    for more in ([], ["--dry-run"]):
        done = CliRunner().invoke(main, [*command, "--participation", rule, *more])
        assert done.exit_code == 2
        assert words in done.stderr
    with pytest.raises(InputError, match=words):
        pflbench.run("local", points, clients=10, rounds=3, participation=rule)
    assert [path.name for path in folder.iterdir()] == ["points.npz"]


@pytest.mark.parametrize("asked", REACHED, ids=str)
def test_what_a_run_just_reaches_is_run(asked: dict[str, Any], points: str) -> None:
    command = ["run", "--algo", "local", "--dataset", points, "--clients", "10", "--rounds", "3"]
    assert CliRunner().invoke(main, [*command, *options(asked), "--dry-run"]).exit_code == 0
