"""One grammar of numbers, through every door by which numbers come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pflbench.cli.main import main
from pflbench.cli.option_types import read_seeds
from pflbench.errors import InputError
from pflbench.experiments.grid import read_matrix
from pflbench.experiments.grid.sharding import Shard
from pflbench.runs import RunRequest
from pflbench.runs.identity import identify
from pflbench.schema.new_clients import check
from pflbench.schema.numbers import number_of, whole_of

NUMBERS = {
    ".1": 0.1,
    "1.": 1.0,
    "1e-3": 1e-3,
    "1E3": 1e3,
    "1_000": 1000,
    "+1": 1,
    " 1 ": 1,
    "\t.5\n": 0.5,
    "-.5": -0.5,
    "1_0.2_5e+0_1": 102.5,
    "007": 7,
}
NO_NUMBERS = (
    "nan",
    "inf",
    "-Infinity",
    "1e999",
    "",
    " ",
    ".",
    "1__0",
    "_1",
    "1_",
    "0x10",
    "1,5",
    "1 0",
    "١",
    "−1",
    "true",
    True,
    False,
    np.True_,
    None,
    [1],
    1j,
    float("nan"),
    np.float64("inf"),
)


@pytest.mark.parametrize("text", NUMBERS)
def test_what_is_a_number(text: str) -> None:
    assert number_of(text) == NUMBERS[text]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_none(value: Any) -> None:
    assert number_of(value) is None
    assert whole_of(value) is None


def test_whole_numbers_may_be_written_as_any_number() -> None:
    assert whole_of("1e3") == 1000
    assert whole_of("10.") == 10
    assert whole_of("9007199254740993.0") == 2**53 + 1  # which no float is
    assert whole_of(3.0) == 3
    for other in ("1.5", 0.1, "1e300", 2**63, "9" * 5000):
        assert whole_of(other) is None


SCALARS = (
    np.int64(2),
    np.int8(2),
    np.uint64(2),
    np.float32(2),
    np.float64(2),
    np.array(2),
    Fraction(2),
    "2",
    " +2. ",
    "2e0",
)


@pytest.fixture
def points() -> str:
    rng = np.random.default_rng(0)
    np.savez("points.npz", x=rng.normal(size=(60, 4)).astype(np.float32), y=np.arange(60) % 3)
    return "npz:points.npz"


@pytest.mark.parametrize("two", SCALARS, ids=repr)
def test_scalars_of_any_kind_name_the_same_run(two: Any, folder: Path, points: str) -> None:
    """Sweeps are written with NumPy: seed in np.arange(3)."""
    plain: dict[str, Any] = {
        "seed": 2,
        "rounds": 2,
        "clients": 2,
        "batch_size": 2,
        "local_epochs": 2,
        "eval_every": 2,
        "weight_decay": 2,
        "lr": 2,
        "chunk": 2,
        "new_clients": 0.5,
        "onboard_at": [2],
        "shots": [2],
        "onboarding_steps": 2,
    }
    given = {name: two if value == 2 else value for name, value in plain.items()}
    given |= {"onboard_at": [two], "shots": two}
    expected = RunRequest("fedora", points, **plain, parameters={"top_k": 2})
    request = RunRequest("fedora", points, **given, parameters={"top_k": two})
    assert identify(request).cell == identify(expected).cell
    assert request.chunk == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": True},
        {"rounds": np.True_},
        {"lr": True},
        {"chunk": True},
        {"chunk": 0},
        {"participation": float("nan")},
        {"seed": np.float64(0.5)},
        {"lr": float("inf")},
        {"new_clients": True},
        {"new_clients": 0.5, "onboard_at": True},
        {"new_clients": 0.5, "onboarding_steps": 1.5},
        {"new_clients": 0.5, "shots": 1.5},
        {"new_clients": 0.5, "shots": 1j},
        {"parameters": {"top_k": True}},
        {"seed": 2**63},
    ],
    ids=repr,
)
def test_what_is_no_number_is_refused_from_python(
    wrong: dict[str, Any], folder: Path, points: str
) -> None:
    with pytest.raises(InputError, match="is not valid: expected"):
        identify(replace(RunRequest("fedora", points), **wrong))


Door = Callable[[str, str], Any]


def on_the_command_line(folder: Path, text: str) -> str:
    done = CliRunner().invoke(
        main,
        [
            "run",
            "--algo",
            f"fedprox(mu={text})",
            "--set",
            f"fedprox.local_lr={text}",
            "--dataset",
            "npz:points.npz",
            "--lr",
            text,
            "--participation",
            text,
            "--new-clients",
            text,
            "--momentum",
            text,
            "--population",
            f"permuted-labels(share={text})",
            "--privacy",
            f"gaussian(clip={text})",
            "--seed",
            "1e0",
            "--rounds",
            "+2",
            "--clients",
            "1_0.",
            "--dry-run",
            "--shard",
            " 1 /+1",
            "--eval-every",
            "2.0",
            "--shots",
            "1e0",
        ],
    )
    return done.output


def in_a_file(folder: Path, text: str) -> str:
    (folder / "m.toml").write_text(
        f"""methods = ["fedprox(mu={text}, local_lr={text})"]
        seeds = [1.0]
        scenario.dataset = "npz:points.npz"
        scenario.lr = "{text}"
        scenario.participation = "{text}"
        scenario.new_clients = "{text}"
        scenario.momentum = "{text}"
        scenario.population = "permuted-labels(share={text})"
        scenario.privacy = "gaussian(clip={text})"
        scenario.rounds = "+2"
        scenario.clients = 10.0
        scenario.eval_every = "2.0"
        scenario.shots = ["1e0"]
        """
    )
    (request,) = read_matrix(folder / "m.toml").requests()
    return identify(request).cell.id


def test_one_number_in_any_writing_is_one_run_through_every_door(folder: Path, points: str) -> None:
    ids = {in_a_file(folder, text) for text in (".1", "0.1", "1e-1", "+.1", " 0.10 ", "1_0e-2")}
    assert len(ids) == 1
    for text in (".1", "1e-1", " +.1 "):
        assert ids.pop() in (shown := on_the_command_line(folder, text)), shown
        ids = {in_a_file(folder, text)}


def test_lists_and_parts_are_written_likewise() -> None:
    assert read_seeds(["1e1,+2", " 3. "]) == [10, 2, 3]
    assert Shard.read("+1/ 2.") == Shard(1, 2)
    new = check(0.5, rounds=20, onboard_at="1e1, +5", shots="1_0,2.,all")
    assert new is not None
    assert new.onboard_at == (5, 10, 20)
    assert new.shots == ("2", "10", "all")
