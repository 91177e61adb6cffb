"""Paths through every door: home folders, colons, bytes that are no UTF-8; files with marks."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import SMALL, Call, files

import pflbench as package
from pflbench.errors import InputError
from pflbench.experiments.grid import read_matrix
from pflbench.results import Store
from pflbench.runs import RunRequest
from pflbench.runs.identity import identify
from pflbench.schema.paths import path_of


@pytest.fixture
def home(folder: Path, data: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, apart from the working one, that holds the data."""
    home = folder / "home of somebody"
    home.mkdir()
    (folder / "points.npz").rename(home / "points.npz")
    monkeypatch.setenv("HOME", str(home))
    return home


MATRIX = """methods = ["local"]
scenario.dataset = "npz:~/points.npz"
scenario.clients = 3
scenario.rounds = 4
scenario.eval_every = 2
"""


def test_a_tilde_is_the_home_folder_wherever_a_path_is_written(
    home: Path, folder: Path, pflbench: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shells do not expand that of `--results=~/x`: half of a run was written to a folder `~`."""
    run = ("run", "--algo", "local", "--dataset", "npz:~/points.npz", *SMALL)
    assert pflbench(*run, "--results=~/R").exit_code == 0
    (stored,) = Store("~/R").runs()
    assert stored.folder.parents[1] == home / "R"

    monkeypatch.setenv("PFLBENCH_RESULTS", "~/R")
    monkeypatch.setenv("PFLBENCH_DATA", "~/data")
    (home / "m.toml").write_text(MATRIX)
    assert "1 done" in pflbench("status", "--matrix", "~/m.toml").stdout
    assert pflbench("report", "--out=~/r.html").exit_code == 0
    assert pflbench("plot", "curves", "--save=~/c.svg").exit_code == 0
    assert pflbench("new", "algorithm", "mine", "--directory=~/mine").exit_code == 0
    assert {"r.html", "c.svg", "mine", "R"} <= {path.name for path in home.iterdir()}

    request = RunRequest("local", "npz:~/points.npz", clients=3, rounds=4, eval_every=2)
    assert identify(request).cell.id == stored.id
    result = package.run(
        "local", "npz:~/points.npz", clients=3, rounds=4, eval_every=2, results="~/R"
    )
    assert result.run_id == stored.id
    assert package.reproduce(stored.id, results="~/R", keep="~/K").agrees
    assert (home / "K" / "runs").is_dir()
    assert list(folder.iterdir()) == [home]


def test_a_home_folder_that_is_not_known_is_said(folder: Path) -> None:
    with pytest.raises(InputError, match=r"'~nobody-here' is not known.*'\./~nobody-here/x'"):
        path_of("~nobody-here/x")


@pytest.mark.parametrize("name", ["a:b.npz", "C:\\data.npz", "a b, c.npz", "~x.npz", "点.npz"])
def test_whatever_stands_in_a_name_is_part_of_it(
    name: str, folder: Path, data: str, pflbench: Call
) -> None:
    (folder / "points.npz").rename(folder / name)
    (folder / "m.toml").write_text(
        f"methods = ['local']\nscenario.dataset = '''npz:./{name}'''\nscenario.clients = 3\n"
        "scenario.rounds = 4\nscenario.eval_every = 2\n"
    )
    (request,) = read_matrix("m.toml").requests()
    written = f'"npz:./{name}"'
    listed = ("run", "--algo", "local", "--dataset", written, *SMALL, "--results", f"./{name} R")
    done = pflbench(*listed)
    assert done.exit_code == 0, done.stderr
    assert Store(f"./{name} R").get(identify(request).cell.id) is not None


@pytest.mark.mostly_slow("a:b]", "s3:")
@pytest.mark.parametrize("name", ["a:b", "s3:R", "file:R", "C:\\R", "a:b/~c", "http:/x", "R%20#1?"])
def test_a_results_folder_whose_name_reads_as_an_address_is_a_folder(
    name: str, folder: Path, data: str, pflbench: Call
) -> None:
    done = pflbench("run", "--algo", "local", "--dataset", data, *SMALL, "--results", name)
    assert done.exit_code == 0, done.stderr
    assert [run.status for run in Store(folder / name).runs()] == ["complete"]
    for command in ("leaderboard", "status"):
        assert pflbench(command, "--results", name).exit_code == 0
    assert pflbench("plot", "curves", "--results", name, "--save", f"{name}/c.svg").exit_code == 0
    assert (folder / name / "c.svg").is_file()


def test_a_run_that_can_be_neither_read_nor_written_fails_alone(
    folder: Path, data: str, pflbench: Call, unreadable: Callable[[Path], None]
) -> None:
    listed = ("run", "--algo", "local,fedavg", "--dataset", data, *SMALL)
    assert pflbench(*listed).exit_code == 0
    lost = Store("results").runs()[0].folder
    unreadable(lost)
    again = pflbench(*listed)
    assert again.exit_code == 1
    assert f"{lost.name} cannot be read" in again.stderr
    assert "itself failed" not in again.stderr
    assert "rank" in again.stdout


NOT_UTF8 = os.fsdecode(b"m\xfcnchen")


@pytest.mark.parametrize(
    "door",
    [
        ("--dataset", f"npz:{NOT_UTF8}.npz"),
        ("--population", f"foreign(dataset=npz:{NOT_UTF8}.npz)"),
        ("--results", NOT_UTF8),
        ("--data-dir", NOT_UTF8),
        ("--algo", f"fedora(similarity={NOT_UTF8})"),
    ],
    ids=lambda door: door[0],
)
@pytest.mark.parametrize("rehearsal", [(), ("--dry-run",)], ids=["run", "dry-run"])
def test_bytes_that_are_no_utf8_are_refused_before_data_are_read(
    door: tuple[str, str], rehearsal: tuple[str, ...], folder: Path, data: str, pflbench: Call
) -> None:
    (folder / "points.npz").rename(folder / f"{NOT_UTF8}.npz")
    options = {"--algo": "local", "--dataset": f"npz:{folder / 'gone.npz'}", **dict([door])}
    before = sorted(folder.iterdir())
    done = pflbench("run", *(word for option in options.items() for word in option), *rehearsal)
    assert done.exit_code == 2
    assert "its bytes are no UTF-8" in done.stderr
    assert sorted(folder.iterdir()) == before


def test_python_is_refused_likewise(folder: Path) -> None:
    for call in (
        lambda: package.run("local", f"npz:{NOT_UTF8}.npz"),
        lambda: package.run("local", "npz:x.npz", results=NOT_UTF8),
        lambda: package.run("local", "mnist", data_dir=NOT_UTF8),
        lambda: read_matrix(NOT_UTF8),
    ):
        with pytest.raises(InputError, match="its bytes are no UTF-8"):
            call()
    for wrong in ("", "a\0b", b"bytes", 3):
        with pytest.raises(InputError, match="is not valid: expected a path"):
            path_of(wrong)
    assert not files(folder)


@pytest.mark.slow
def test_a_title_in_other_bytes_makes_a_report(folder: Path, data: str, pflbench: Call) -> None:
    assert pflbench("run", "--algo", "local", "--dataset", data, *SMALL).exit_code == 0
    assert pflbench("report", "--title", NOT_UTF8).exit_code == 0


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (MATRIX.encode("utf-8-sig"), ""),
        (MATRIX.encode("utf-16"), "is in UTF-16: expected UTF-8. Save it as UTF-8."),
        (MATRIX.encode("utf-32"), "is in UTF-32: expected UTF-8. Save it as UTF-8."),
        (
            ("# \n# Zürich\n" + MATRIX).encode("latin-1"),
            "is not in UTF-8: line 2 holds the byte 0xfc. Save it as UTF-8.",
        ),
        (MATRIX.replace("\n", "\r\n").encode("utf-8-sig"), ""),
    ],
    ids=["marked", "utf-16", "utf-32", "latin-1", "windows"],
)
def test_a_matrix_file_may_begin_with_a_byte_order_mark(
    content: bytes, expected: str, home: Path, folder: Path, pflbench: Call
) -> None:
    (folder / "m.toml").write_bytes(content)
    done = pflbench("run", "--matrix", "m.toml", "--dry-run")
    assert done.exit_code == (2 if expected else 0)
    assert expected in done.stderr
    assert "1 missing" in done.stdout or expected
