"""Several commands as one: the same cells, neither more nor fewer."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from pflbench.report.html.commands import joined

SETTINGS = st.lists(
    st.sampled_from(["lr=0.1", "name='a b'", "mu=none", 'x="y"']), max_size=2, unique=True
).map(tuple)
CELL = st.tuples(
    st.sampled_from(["local", "fedavg", "fedora"]),
    st.sampled_from(["mnist", "npz:a b.npz"]),
    SETTINGS,
    st.integers(0, 3),
)


@dataclass(frozen=True)
class Row:
    algorithm: str
    commands: dict[int, str]
    parameters: dict[str, str] = field(default_factory=dict)


def row(cell: tuple[str, str, tuple[str, ...], int]) -> Row:
    algo, _, settings_, seed = cell
    return Row(algo, {seed: command(cell)}, dict(one.split("=", 1) for one in settings_))


def command(cell: tuple[str, str, tuple[str, ...], int]) -> str:
    algo, dataset, settings_, seed = cell
    words = ["pflbench", "run", "--algo", algo, "--dataset", dataset, "--lr", "0.1"]
    for one in settings_:
        words += ["--set", f"{algo}.{one}"]
    return shlex.join([*words, "--seed", str(seed)])


def cells(text: str) -> set[tuple[str, str, tuple[str, ...], int]]:
    words = shlex.split(text)
    assert words[:2] == ["pflbench", "run"]
    pairs = list(zip(words[2::2], words[3::2], strict=True))
    options = dict(pairs)
    assert options["--lr"] == "0.1"
    sets = [value for option, value in pairs if option == "--set"]
    return {
        (
            algo,
            options["--dataset"],
            tuple(s.removeprefix(f"{algo}.") for s in sets if s.startswith(f"{algo}.")),
            int(seed),
        )
        for algo in options["--algo"].split(",")
        for seed in options["--seed"].split(",")
    }


@given(st.lists(CELL, max_size=12))
def test_joined_commands_run_the_same_cells(
    wanted: list[tuple[str, str, tuple[str, ...], int]],
) -> None:
    found = [cells(text) for text in joined(map(row, wanted))]
    assert set().union(*found) == set(wanted)
    assert sum(map(len, found)) == len(set(wanted)), "no cell twice"


def test_a_whole_matrix_is_one_command() -> None:
    wanted = [
        (a, "mnist", ("lr=0.1",), s) for a in ("local", "fedavg", "fedora") for s in (2, 0, 1)
    ]
    (found,) = joined(map(row, wanted))
    assert cells(found) == set(wanted)


def test_what_is_no_such_command_is_kept() -> None:
    others = ["make all", "pflbench run --algo a --seed 'open", "pflbench run --algo a --flag", ""]
    assert joined(Row("a", {0: text}) for text in others) == others
