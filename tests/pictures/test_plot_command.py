"""`pflbench plot`: files, and what is said where there is nothing to draw."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import Result
from drawn_results import PUBLISHED, Drawn, opened
from made_runs import write
from PIL import Image

from pflbench.report.html.page_pictures import Gallery

Plot = Callable[..., Result]
KINDS = ["curves", "spread", "gains", "pareto", "partition"]


def root_of(drawn: Drawn) -> Path:
    return drawn.store.root


@pytest.mark.mostly_slow("curves")
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_for_each_scenario(kind: str, plot: Plot, published: Drawn) -> None:
    done = plot(kind, "--results", PUBLISHED)
    assert done.exit_code == 0, done.output
    written = done.stdout.split()
    assert set(written) <= {f"{kind}-{board.scenario_id}.pdf" for board in published.boards}
    assert set(written) == {path.name for path in Path().iterdir()}
    without = [
        b
        for b in published.boards
        if not any(r.algorithm == "local" and r.measures for r in b.rows)
    ]
    missing = len(without) if kind == "gains" else 0
    assert len(written) == len(published.boards) - missing
    for board in without if kind == "gains" else []:
        assert f"Scenario {board.scenario_id}" in done.stderr
        assert "no complete row of local" in done.stderr
    for name in written:
        content = Path(name).read_bytes()
        assert content.startswith(b"%PDF")
        assert content.rstrip().endswith(b"%%EOF")
        assert b"/CreationDate" not in content
        assert b"/FontFile2" in content  # whole outlines, which publishers ask for


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["pdf", "svg", "png"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_results_are_the_same_file(
    kind: str, ending: str, plot: Plot, small: Drawn
) -> None:
    """Also in another process, where texts have other hashes and the user another style."""
    save = ("--results", root_of(small), "--save")
    assert plot(kind, *save, f"a.{ending}").exit_code == 0
    Path("matplotlibrc").write_text("font.size: 20\naxes.grid: False\nsvg.fonttype: path\n")
    subprocess.run(
        [sys.executable, "-m", "pflbench", "plot", kind, *map(str, save), f"b.{ending}"],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "MPLBACKEND": "pdf", "TZ": "Asia/Tokyo"},
    )
    assert Path(f"a.{ending}").read_bytes() == Path(f"b.{ending}").read_bytes()


@pytest.mark.slow
def test_svg_files_hold_text_and_every_id_once(plot: Plot, small: Drawn) -> None:
    for kind in KINDS:
        assert plot(kind, "--results", root_of(small), "--save", "a.svg").stdout == "a.svg\n"
        root = ElementTree.parse("a.svg").getroot()
        ids = Counter(e.get("id") for e in root.iter() if e.get("id"))
        assert max(ids.values()) == 1, kind
        assert not re.search(r"\d{4}-\d\d-\d\dT", Path("a.svg").read_text())
        if kind != "partition":
            assert "mixed" in " ".join(root.itertext())


@pytest.mark.slow
@pytest.mark.parametrize(("width", "pixels"), [("column", 1020), ("page", 2100), ("5", 1500)])
def test_widths(width: str, pixels: int, plot: Plot, crowd: Drawn) -> None:
    for kind in KINDS:
        done = plot(kind, "--results", root_of(crowd), "--width", width, "--save", "a.png")
        assert done.exit_code == 0, done.output
        with Image.open("a.png") as image:
            assert image.width == pixels
            shades = np.asarray(image.convert("L"))
        assert len(np.unique(shades)) > 20
        assert (shades[:, :2] == 255).mean() > 0.9  # nothing is cut off at the sides
        assert (shades[:, -2:] == 255).mean() > 0.9


@pytest.mark.slow
def test_titles_splits_and_axes(plot: Plot, small: Drawn) -> None:
    def texts(*options: str) -> str:
        done = plot("curves", "--results", root_of(small), "--save", "a.svg", *options)
        assert done.exit_code == 0, done.output
        return " | ".join(ElementTree.parse("a.svg").getroot().itertext())

    plain = texts()
    assert "made · iid" not in plain
    assert "communication round" in plain
    assert "made · iid" in texts("--title")
    assert "validation accuracy (%)" in texts("--split", "val")
    assert "MB up and down" in texts("--x", "bytes")
    assert "training time" in texts("--x", "seconds")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("curve",), "'curve' is not one of 'curves'"),
        ((), "Missing argument 'KIND'"),
        (("curves", "--save", "a.jpg"), "ends in .pdf, .png or .svg"),
        (("curves", "--save", "there/a.pdf"), "Folder 'there' does not exist"),
        (("curves", "--width", "99"), "'99' is not a picture's width: expected column, page"),
        (("curves", "--width", "wide"), "'wide' is not a picture's width"),
        (("curves", "--x", "hours"), "'hours' is not one of"),
        (("spread", "--x", "bytes"), "--x belongs to curves"),
        (("ranks", "--split", "val"), "--split belongs to curves"),
        (("curves", "--scenario", "zzz"), "There is no scenario 'zzz'"),
        (("curves", "--dataset", "mnits"), "There is no data set with results 'mnits'"),
        (("ranks",), "Ranks cannot be drawn: 2 blocks"),
    ],
)
def test_what_cannot_be(arguments: tuple[str, ...], words: str, plot: Plot, small: Drawn) -> None:
    done = plot(*arguments, "--results", root_of(small))
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())
    assert done.stderr.count("Error:") == 1
    assert not list(Path().iterdir())


@pytest.mark.slow
def test_one_file_holds_one_scenario(plot: Plot, tmp_path: Path) -> None:
    root = tmp_path / "two" / "results"
    for partition in ("iid", "natural"):
        write(root, "local", [[5, 6 + len(partition)]], partition=partition)
    done = plot("curves", "--results", root, "--save", "a.pdf")
    assert done.exit_code == 2
    assert "choose one with --scenario" in done.stderr
    assert "made · natural" in done.stderr
    assert not Path("a.pdf").exists()
    (one, other) = plot("curves", "--results", root).stdout.split()
    short = one.removeprefix("curves-")[:4]
    done = plot("curves", "--results", root, "--save", "a.pdf", "--scenario", short)
    assert done.stdout == "a.pdf\n"
    assert Path("a.pdf").read_bytes() == Path(one).read_bytes() != Path(other).read_bytes()


@pytest.mark.slow
def test_a_method_looks_the_same_whatever_is_selected(plot: Plot, tmp_path: Path) -> None:
    root = tmp_path / "two" / "results"
    for name in ("fedora", "pfedhn"):  # whose names draw the same place
        write(root, name, [[5, 6], [8, 9]])
    write(root, "pfedhn", [[5, 6], [8, 9]], partition="natural")
    plot("curves", "--results", root)
    files = {path.name: path.read_bytes() for path in Path().glob("*.pdf")}
    for name, content in files.items():
        scenario = name.removeprefix("curves-").removesuffix(".pdf")
        plot("curves", "--results", root, "--scenario", scenario, "--save", "b.pdf")
        assert Path("b.pdf").read_bytes() == content


@pytest.mark.slow
def test_ranks_over_five_scenarios(plot: Plot, tmp_path: Path) -> None:
    root = tmp_path / "five" / "results"
    for i in range(5):
        for j, name in enumerate(("local", "fedavg", "ditto", "other")):
            correct = np.full((2, 6), 5 + 3 * j) + np.arange(6) % 2 + (i == j)
            write(root, name, correct, partition=f"part-{i}")
    done = plot("ranks", "--results", root, "--title")
    assert done.exit_code == 0, done.output
    assert done.stdout == "ranks.pdf\n"
    plot("ranks", "--results", root, "--save", "a.svg")
    shown = " | ".join(ElementTree.parse("a.svg").getroot().itertext())
    assert "other  1.00" in shown
    assert "local  4.00" in shown
    assert "5 blocks" in shown


@pytest.mark.slow
@pytest.mark.parametrize("clients", [1, 2, 9])
@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("seeds", [1, 2])
def test_small_worlds(clients: int, rounds: int, seeds: int, plot: Plot, tmp_path: Path) -> None:
    """One client, one evaluated round, one seed, and accuracies that are all the same."""
    root = tmp_path / "one" / "results"
    for seed in range(seeds):
        for name, correct in (("local", 10), ("same", 10), ("perfect", 20), ("hopeless", 0)):
            write(
                root,
                name,
                np.full((rounds, clients), correct),
                seed=seed,
                traffic=0 if name == "local" else 1000,
            )
    for kind in KINDS:
        for x in ("rounds", "bytes", "seconds") if kind == "curves" else ("",):
            options = ("--x", x) if x else ()
            done = plot(kind, "--results", root, "--save", "a.png", *options)
            assert (done.exit_code, done.stderr) == (0, ""), (kind, done.output)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "methods"), [(1, 3), (2, 3), (2, 13)])
def test_a_report_speaks_of_a_range_where_a_band_is_drawn(
    seeds: int, methods: int, tmp_path: Path
) -> None:
    root = tmp_path / "banded" / "results"
    for seed in range(seeds):
        for i in range(methods):
            name = f"m{i}" if i else "local"
            write(root, name, [[5, 6], [7 + seed, 8 + i % 4]], seed=seed, traffic=1000)
    drawn = opened(root)
    told = Gallery(drawn.store, drawn.looks)._curves(drawn.board, "one")  # the others take long
    bands = [panel for panel in told.panels if re.search(r"method-\d+-band", panel.svg)]
    assert bool(bands) == (seeds > 1 and methods <= 12)
    assert ("range over seeds" in told.words) == bool(bands)


@pytest.mark.slow
def test_only_the_baseline(plot: Plot, tmp_path: Path) -> None:
    root = tmp_path / "only" / "results"
    write(root, "local", [[5, 6], [8, 9]], traffic=0)
    for kind in KINDS:
        done = plot(kind, "--results", root, "--save", "a.pdf")
        assert done.exit_code == (2 if kind == "gains" else 0), (kind, done.output)
        assert ("no complete row except that of local" in done.stderr) == (kind == "gains")
    assert plot("curves", "--x", "bytes", "--results", root).exit_code == 0


@pytest.mark.slow
def test_a_diverged_run_is_left_out_and_named(plot: Plot, tmp_path: Path) -> None:
    root = tmp_path / "diverged" / "results"
    write(root, "local", [[5, 6], [8, 9]])
    write(root, "fine", [[7, 8], [9, 9]])
    write(root, "broken", [[5, 6], [8, 9]], failed=True)
    for kind in KINDS:
        done = plot(kind, "--results", root, "--save", "a.svg")
        assert done.exit_code == 0
        if kind != "partition":
            said = "Notice: broken is not drawn: seed 0 failed in round 1, client 0 (DivergedError)"
            assert said in done.stderr
            shown = " ".join(ElementTree.parse("a.svg").getroot().itertext())
            assert "fine" in shown
            assert "broken" not in shown


@pytest.mark.slow
def test_nothing_complete(plot: Plot, tmp_path: Path) -> None:
    root = tmp_path / "nothing" / "results"
    write(root, "broken", [[5, 6], [8, 9]], failed=True)
    for kind in KINDS:
        done = plot(kind, "--results", root)
        if kind == "partition":  # which is known before a run ends
            assert done.exit_code == 0
        else:
            assert done.exit_code == 2
            assert "none of its rows is complete" in done.stderr
    done = plot("curves", "--results", tmp_path / "absent")
    assert done.exit_code == 2
    assert "There is no results folder" in done.stderr


@pytest.mark.slow
def test_no_state_of_pyplot_is_touched(small: Drawn, tmp_path: Path) -> None:
    code = (
        "import sys; from pflbench.cli.main import main\n"
        "try: main(sys.argv[1:], prog_name='pflbench')\n"
        "except SystemExit as end: assert not end.code\n"
        "import matplotlib\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
        "assert matplotlib.rcParams['font.size'] == matplotlib.rcParamsDefault['font.size']\n"
    )
    for kind in KINDS:
        subprocess.run(
            [
                sys.executable,
                "-c",
                code,
                "plot",
                kind,
                "--results",
                str(root_of(small)),
                "--save",
                "a.pdf",
            ],
            check=True,
            capture_output=True,
            cwd=tmp_path,
        )
