"""The code that the documentation shows runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
from documents import DOCS, ROOT, blocks, commands
from playing import Call, call, play, run_python

import pflbench
from pflbench.conformance import check
from pflbench.results import Store
from pflbench.runs import RunRequest, execute, plan
from pflbench.schema import plugins

PLUGINS = DOCS / "write-a-plugin.md"


@pytest.mark.slow
def test_the_quickstart_runs(command_line: Call, folder: Path) -> None:
    play(DOCS / "quickstart.md", command_line)
    runs = Store(folder / "results").runs()
    assert {run.status for run in runs} == {"complete"}
    assert {run.cell["scenario"]["dataset"] for run in runs} == {"mnist", "npz"}
    (own, *_) = (run for run in runs if run.cell["scenario"]["dataset"] == "npz")
    assert own.cell["scenario"]["clients"] == 6
    assert own.cell["scenario"]["partition"]["name"] == "natural"


@pytest.mark.parametrize(
    "page",
    [
        "engine.md",
        "results-format.md",
        pytest.param("paper.md", marks=pytest.mark.slow),
        pytest.param("python.md", marks=pytest.mark.slow),
        pytest.param("scenarios.md", marks=pytest.mark.slow),
        pytest.param("command-line.md", marks=pytest.mark.slow),
    ],
)
def test_the_other_pages_run(
    page: str, command_line: Call, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line(["run", "--algo", "local", "--dataset", "mnist", "--rounds", "1", "--quiet"])
    play(DOCS / page, command_line)
    (local, *_) = Store(folder / "results").runs()
    if page == "results-format.md":
        assert local.id in capsys.readouterr().out
    if page == "scenarios.md":
        assert (folder / "skew.png").stat().st_size > 0


@pytest.mark.slow
def test_own_data_in_python_runs() -> None:
    names: dict[str, Any] = {}
    for block in blocks(DOCS / "own-data.md", "python"):
        run_python(block, names)
    assert names["federation"].names == ("a", "b")


def test_recorded_runs_are_replayed(command_line: Call, folder: Path) -> None:
    shutil.copytree(ROOT / "tests" / "golden", folder / "tests" / "golden")
    replayed = commands(DOCS / "golden.md", "bash")
    assert len(replayed) == 2
    for command in replayed:
        assert "within 1e-05" in call(command_line, command).output


# The plugin of ten minutes


@pytest.fixture
def registry(
    command_line: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[plugins.Registry]:
    """Return the plugins with those that the documentation writes, made as it says."""
    (new,) = commands(PLUGINS, "bash")
    written = call(command_line, new).output
    tree = next(b.text for b in blocks(PLUGINS, "text") if b.text.startswith("private-head/"))
    for line in tree.splitlines()[1:]:
        assert line.split()[1] in written
    (entry,) = blocks(PLUGINS, "toml")
    assert entry.text in (folder / "private-head" / "pyproject.toml").read_text("utf-8")
    for block in blocks(PLUGINS, "python"):
        assert block.file, f"a block names no file: {block.text[:60]}"
        path = folder / "private-head" / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
    monkeypatch.syspath_prepend(folder / "private-head" / "src")
    points = [
        EntryPoint("private-head", "pflbench_private_head", plugins.GROUP),
        EntryPoint("my-lab", "my_lab", plugins.GROUP),
    ]
    yield plugins.load([*entry_points(group=plugins.GROUP), *points])
    for name in list(sys.modules):
        if name.partition(".")[0] in ("pflbench_private_head", "my_lab"):
            del sys.modules[name]


@pytest.mark.slow
def test_the_plugins_keep_the_rules(registry: plugins.Registry) -> None:
    assert not registry.problems
    for name in (
        "private-head",
        "blobs",
        "sorted",
        "noisy",
        "wide",
        "shifts",
        "p-true",
        "journal",
        "means",
    ):
        report = check(name, registry=registry)
        assert report.passed, [o for o in report.outcomes if o.status == "failed"]


def test_the_plugins_run_together(
    registry: plugins.Registry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    request = RunRequest(
        "private-head",
        "blobs",
        partition="sorted",
        population="noisy",
        model="wide(units=16)",
        rounds=3,
        participation="shifts",
        parameters={"mu": "0.1"},
        device="cpu",
    )
    result = execute(plan(request, registry), None)
    assert "p-true" in result.metrics.columns
    assert result.metrics["p-true"].between(0, 1).all()
    assert sum("round" in message for message in caplog.messages) == 3  # of the observer
    up = result.messages.query("direction == 'up' and round > 0")
    assert set(up["kind"]) == {"model"}  # of it the body alone, 8·16 + 16 numbers
    uploads = up.groupby("round")["bytes"].sum() / (4 * (8 * 16 + 16))
    assert uploads.tolist() == [3, 2, 3]
    who = result.participation
    assert who["client"].tolist() == [0, 2, 4, 1, 3, 0, 2, 4]
    assert set(who["work"]) == {0.5}  # 120 samples each


def test_the_plugins_own_test_passes(registry: plugins.Registry) -> None:
    """The test class as documented, against the registry that has the plugin."""
    names: dict[str, Any] = {"__name__": "documentation"}
    (block,) = [b for b in blocks(PLUGINS, "python") if b.file.startswith("tests/")]
    run_python(block, names)
    cls = names["TestPrivateHead"]
    cls.registry = registry
    checks = cls.test_conformance.pytestmark[0].args[1]
    assert len(checks) > 20
    for one in checks[:5]:
        cls().test_conformance(one)


def test_without_its_terms_private_head_is_fedavg(registry: plugins.Registry) -> None:
    """With one client and μ = 0: where nobody is averaged, a private head is no other."""
    data = {
        f"{split}_{part}": [[0.0, 1.0], [1.0, 0.0]] if part == "x" else [0, 1]
        for split in ("train", "val", "test")
        for part in "xy"
    }
    federation = pflbench.Federation.from_arrays([data])

    def losses(algorithm: str, **parameters: Any) -> list[float]:
        request = RunRequest(
            algorithm, federation, rounds=3, local_epochs=3, parameters=parameters, device="cpu"
        )
        return execute(plan(request, registry), None).metrics["loss"].tolist()

    assert losses("private-head", mu=0) == pytest.approx(losses("fedavg"), abs=1e-6)
    assert losses("private-head", mu=50) != pytest.approx(losses("fedavg"), abs=1e-6)
