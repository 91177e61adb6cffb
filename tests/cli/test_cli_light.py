"""What must answer at once: no torch is imported, and little time goes by."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PROBE = """
import os, sys
from pflbench.cli.main import main
try:
    main({arguments!r}, prog_name="pflbench")
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"torch", "torchvision", "pandas", "pyarrow", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""


def light(*arguments: str, **environment: str) -> str:
    """Run a command in a process that fails if something heavy was imported."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(arguments=list(arguments))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.mostly_slow("--local-epochs", "-fedora]", "top_k", "rotated", "-alpha")
@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((), "leaderboard"),
        (("--help",), "leaderboard"),
        (("-h",), "leaderboard"),
        (("--version",), "pflbench"),
        (("run", "--help"), "--local-epochs"),
        (("leaderboard", "--help"), "markdown"),
        (("status", "--help"), "--matrix"),
        (("list",), "fedora"),
        (("list", "--help"), "partitioners"),
        (("show", "--help"), "partition"),
        (("show", "fedora"), "top_k"),
        (("show", "mnist"), "rotated(step=10)"),
        (("show", "dirichlet"), "alpha"),
        (("show", "partition", "--help"), "--save"),
        (("show", "cost", "--help"), "--target"),
        (("check", "--help"), "--golden"),
        (("new", "algorithm", "--help"), "--directory"),
        (("plot", "--help"), "--width"),
    ],
)
def test_help_lists_and_records_need_no_torch(arguments: tuple[str, ...], part: str) -> None:
    assert part in light(*arguments)


@pytest.mark.mostly_slow("fedora")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("pflbench le", ["leaderboard"]),
        ("pflbench run --algo fedor", ["fedora"]),
        ("pflbench run --algo moon+", ["moon+ft"]),
        ("pflbench run --algo local,fedor", ["local,fedora"]),
        ("pflbench run --dataset npz", ["npz:"]),
        ("pflbench run --partition dirichlet(alpha=1),ii", ["dirichlet(alpha=1),iid"]),
        ("pflbench run --partition dirichlet(al", []),
        ("pflbench run --algo fedora --set fedora.al", ["fedora.alpha="]),
        ("pflbench run --algo fedora --set fedprox", []),
        ("pflbench run --algo moon+ft --set moon+ft.ft", ["moon+ft.ft_epochs="]),
        ("pflbench run --algo x --engine s", ["stacked", "sequential"]),
        ("pflbench show pathol", ["pathological"]),
        ("pflbench show partition dirich", ["dirichlet"]),
        ("pflbench check pfedhn-", ["pfedhn-pc"]),
        ("pflbench check moon", ["moon", "moon+ft"]),
    ],
)
def test_shells_complete_names_without_torch(words: str, completed: list[str]) -> None:
    listed = light(
        _PFLBENCH_COMPLETE="bash_complete",
        COMP_WORDS=words.replace("(", "\\(").replace(")", "\\)"),
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert [line.partition(",")[2] for line in listed.split()] == completed


def test_bad_names_are_refused_before_torch_is_imported() -> None:
    code = _PROBE.format(arguments=["run", "--algo", "feddora", "--dataset", "mnist"])
    code = code.replace("assert not end.code", "assert end.code == 2")
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def seconds(*command: str) -> float:
    """Return the least processor time of several tries: other work takes none of it."""
    taken = []
    for _ in range(4):
        began = children()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        taken.append(children() - began)
    return min(taken)


def children() -> float:
    """Return the processor time of the processes that this one started and that ended."""
    times = os.times()
    return times.children_user + times.children_system


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'pandas', 'pyarrow', 'numpy', 'scipy', 'pflbench_algorithms'}"
    code = f"import sys, pflbench; there = {heavy} & set(sys.modules); assert not there, there"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_importing_the_package_takes_less_than_a_fifth_of_a_second() -> None:
    assert seconds("-c", "import pflbench") < max(0.2, 15 * seconds("-c", "pass"))


def test_help_takes_less_than_half_a_second() -> None:
    bare = seconds("-c", "pass")
    limit = max(0.5, 30 * bare)  # the second is for machines on which Python itself is slow
    assert seconds("-m", "pflbench", "--help") < limit
