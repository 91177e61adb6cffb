"""`pflbench check` and `pflbench new`, as a plugin's author meets them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from calling import SMALL, Call, Process
from test_cli_bad_input import plugin

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.mostly_slow("fedora-sequential")
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("name", ["fedora", "pfedhn"])
def test_a_recording_is_replayed_and_every_difference_printed(
    name: str, engine: str, pflbench: Call
) -> None:
    command = ("check", name, "--golden", str(GOLDEN / f"{name}.npz"), "--engine", engine)
    result = pflbench(*command)
    assert result.exit_code == 0, result.output
    gaps = [line.split() for line in result.stdout.splitlines() if line.rstrip().endswith(" ok")]
    assert len(gaps) >= 4
    assert all(0 <= float(gap) <= 1e-5 for _, gap, _ in gaps)
    strict = pflbench(*command, "--tolerance", "0")
    assert strict.exit_code == 1
    assert "above 0" in strict.stdout
    assert f"{name} does not replay" in strict.stdout


def test_recordings_that_cannot_be_replayed(pflbench: Call, folder: Path) -> None:
    (folder / "text.npz").write_text("not an archive")
    for arguments, part in (
        (("fedora", "--golden", "text.npz"), "text.npz is not a recording"),
        (("fedora", "--golden", "."), "Recording ."),
        (("local", "--golden", str(GOLDEN / "fedora.npz")), "has no recorded runs"),
        (("fedora", "--golden", str(GOLDEN / "pfedhn.npz")), "cannot be replayed"),
        (("fedora", "--engine", "stacked"), "expected --golden FILE."),
    ):
        result = pflbench("check", *arguments)
        assert result.exit_code == 2
        assert part in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_method_that_keeps_the_rules_passes(pflbench: Call) -> None:
    result = pflbench("check", "fedprox")
    assert result.exit_code == 0, result.stdout
    lines = result.stdout.splitlines()
    passed = sum(line.startswith("✓") for line in lines)
    assert passed >= 15
    assert lines[-1].startswith(f"fedprox (algorithm): {passed} passed, 0 failed, ")


_LAZY = """
import pflbench

@pflbench.hookimpl
def pflbench_metrics():
    return [pflbench.MetricSpec("lazy", "Sums nothing up.", "lazy_code:each")]
"""

_LAZY_CODE = """
def each(logits, y, mask):
    return mask
"""


@pytest.mark.slow
def test_a_plugin_that_breaks_a_rule_fails_with_the_reason(
    process: Process, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = tmp_path_factory.mktemp("site")
    plugin(site, "lazy", _LAZY)
    (site / "lazy_code.py").write_text(_LAZY_CODE)
    result = process("check", "lazy", path=site)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("✗"))
    assert lines[at + 1].strip().startswith("failed: ")
    assert " 0 failed" not in lines[-1]


def test_a_new_algorithm_is_written_once(pflbench: Call, folder: Path) -> None:
    written = pflbench("new", "algorithm", "my-method", "--directory", "mine")
    assert written.exit_code == 0, written.stderr
    assert "mine/pyproject.toml" in written.stdout
    assert "pflbench check my-method" in written.stdout
    assert list((folder / "mine" / "tests").glob("test_*.py"))
    again = pflbench("new", "algorithm", "my-method", "--directory", "mine")
    assert again.exit_code == 2
    assert "not empty" in again.stderr


@pytest.mark.slow
def test_a_new_algorithm_works_as_it_is_written(
    pflbench: Call, process: Process, folder: Path, data: str
) -> None:
    assert pflbench("new", "algorithm", "my-method", "--directory", "mine").exit_code == 0
    # What `pip install -e mine` would make known: the entry points of its project file.
    project = tomllib.loads((folder / "mine" / "pyproject.toml").read_text())["project"]
    source = folder / "mine" / "src"
    info = source / f"{project['name'].replace('-', '_')}-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n")
    points = project["entry-points"]["pflbench"]
    lines = [f"{name} = {module}" for name, module in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pflbench]", *lines, ""]))

    checked = process("check", "my-method", path=source)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    run = process("run", "--algo", "my-method", "--dataset", data, *SMALL, path=source)
    assert run.returncode == 0, run.stderr
    assert "my-method" in run.stdout
