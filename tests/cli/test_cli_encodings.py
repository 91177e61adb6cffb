"""Output in encodings that lack what is printed: replacements, and the status of the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import SMALL
from click.testing import CliRunner, Result

from pflbench.cli.main import main

POOR = ("cp1252", "latin-1", "ascii", "gbk", "cp437")
"""What Windows gives a redirected program, old logins and bare environments."""

Printed = Callable[..., Result]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two methods, one of which is worse than the other, and a run that failed."""
    import numpy as np

    folder = tmp_path_factory.mktemp("encodings")
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = (rng.normal(size=(240, 6)) + 2 * np.eye(6)[y]).astype(np.float32)
    np.savez(folder / "naïve ✓ 点.npz", x=x, y=y)
    runner = CliRunner()
    where = ["--results", str(folder / "R"), "--dataset", f"npz:{folder / 'naïve ✓ 点.npz'}"]
    done = runner.invoke(main, ["run", "--algo", "local,fedavg", *where, *SMALL])
    assert done.exit_code == 0, done.output
    failed = runner.invoke(main, ["run", "--algo", "local", *where, *SMALL, "--lr", "1e30"])
    assert failed.exit_code == 1
    return folder / "R"


def commands(results: Path) -> list[tuple[int, list[str]]]:
    """Statuses and commands that print signs, tables, names of files, errors, tracebacks."""
    where = ["--results", str(results)]
    data = f"npz:{next(results.parent.glob('*.npz'))}"
    return [
        (0, ["--help"]),
        (0, ["run", "--help"]),
        (0, ["list"]),
        (0, ["show", "fedora", "--note"]),
        (0, ["status", *where]),
        (0, ["status", *where, "--format", "json"]),
        *((0, ["leaderboard", *where, "--format", f]) for f in ("text", "csv", "latex")),
        (0, ["leaderboard", *where, "--columns", "tests"]),
        (0, ["run", "--algo", "local", "--dataset", data, *SMALL, *where]),
        (0, ["run", "--algo", "local", "--dataset", data, *SMALL, *where, "--dry-run"]),
        (
            1,
            [
                "run",
                "--algo",
                "local",
                "--dataset",
                data,
                *SMALL,
                *where,
                "--lr",
                "1e30",
                "--debug",
            ],
        ),
        (2, ["run", "--algo", "local", "--dataset", data, "--lr", "−1", *where]),
        (2, ["show", "…"]),
        (0, ["show", "partition", "iid", "--dataset", data, "--clients", "3"]),
    ]


@pytest.mark.mostly_slow("cp1252")
@pytest.mark.parametrize("encoding", POOR)
def test_every_command_prints_in_a_poor_encoding(encoding: str, results: Path) -> None:
    runner = CliRunner(charset=encoding)
    for status, arguments in commands(results):
        done = runner.invoke(main, arguments)
        shown = done.stdout + done.stderr
        assert done.exit_code == status, (arguments, shown)
        assert "itself failed" not in shown
        assert done.stdout if status == 0 else done.stderr


def test_what_is_replaced_is_still_read(results: Path) -> None:
    shown = CliRunner(charset="ascii").invoke(main, ["leaderboard", "--results", str(results)])
    words = " ".join(shown.stdout.split())
    assert "gain over local" in words
    assert ". dirichlet(alpha=0.5) ." in words  # the dots between the parts of a scenario
    assert "naive + ?" in words  # the name of the file
    assert "?" not in words.replace("naive + ?", "")


def test_json_is_exact_in_a_poor_encoding(results: Path) -> None:
    import json

    said = [
        json.loads(
            CliRunner(charset=charset)
            .invoke(main, ["status", "--results", str(results), "--format", "json"])
            .stdout
        )
        for charset in ("utf-8", "ascii")
    ]
    assert said[0] == said[1]
    assert "naïve ✓ 点" in said[0]["cells"][0]["dataset"]


@pytest.mark.mostly_slow("cp1252")
@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["cp1252", "C"],
)
def test_a_redirected_program_prints_in_what_it_is_given(
    surroundings: dict[str, str], results: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pflbench", "leaderboard", "--results", str(results)],
        capture_output=True,
        check=False,
        env={**os.environ, **surroundings},
    )
    assert done.returncode == 0, done.stderr
    assert b"gain over local" in done.stdout
    assert not done.stderr
    done.stdout.decode(
        "ascii" if "LC_ALL" in surroundings else surroundings["PYTHONIOENCODING"].split(":")[0]
    )


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_closed_stream_ends_no_command(closed: str) -> None:
    number = 1 if closed == "stdout" else 2
    code = f"{sys.executable} -m pflbench list {number}>&-"
    done = subprocess.run(["bash", "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
