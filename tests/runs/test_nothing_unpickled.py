"""Whatever is read from a results folder, nothing of it is unpickled."""

from __future__ import annotations

import ast
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

import pflbench
import pflbench_algorithms
from pflbench import Federation
from pflbench.cli.main import main
from pflbench.results import Store
from pflbench.runs import Observer, execution

_UNPICKLED: list[str] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and _UNPICKLED is not None:
        _UNPICKLED.append(".".join(map(str, arguments)))


sys.addaudithook(_listen)  # Python itself tells of every class that a pickle names


@pytest.fixture
def unpickled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return what was unpickled since: the classes, and the readers of pickles that were called."""
    global _UNPICKLED
    _UNPICKLED = found = list[str]()

    for module, name in ((pickle, "load"), (pickle, "loads"), (torch, "load")):

        def forbidden(*_: object, called: str = f"{module.__name__}.{name}", **__: object) -> None:
            found.append(called)
            raise AssertionError(f"{called} was called")

        monkeypatch.setattr(module, name, forbidden)
    yield found
    _UNPICKLED = None


class Stops(Observer):
    def round_done(self, progress: Any) -> None:
        if progress.round == 3:
            raise KeyboardInterrupt


def test_it_would_be_noticed(unpickled: list[str]) -> None:
    content = pickle.dumps(Path("a"))
    with pytest.raises(AssertionError):
        pickle.loads(content)
    pickle._loads(content)  # type: ignore[attr-defined]  # by another door
    assert "pickle.loads" in unpickled
    assert any("pathlib" in name for name in unpickled)


@pytest.mark.mostly_slow("[fedora]")
@pytest.mark.parametrize("method", ["fedora", "pfedhn", "fedavg-ft"])
def test_resuming_and_reading(
    method: str,
    federation: Federation,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
    unpickled: list[str],
) -> None:
    monkeypatch.setattr(execution, "CHECKPOINT_SECONDS", -1.0)
    options: dict[str, Any] = {"rounds": 4, "eval_every": 2, "results": results}
    with pytest.raises(KeyboardInterrupt):
        pflbench.run(method, federation, observers=[Stops()], **options)
    assert Store(results).runs()[0].reached == 2
    pflbench.run(method, federation, **options)
    (run,) = Store(results).runs()
    for path in run.folder.glob("*.parquet"):
        assert len(run.table(path.stem)) >= 0
    assert run.environment["earlier"]
    board = CliRunner().invoke(main, ["leaderboard", "--results", str(results)])
    assert board.exit_code == 0, board.output
    assert not unpickled


def test_a_table_cannot_bring_a_pickle(
    federation: Federation, results: Path, tmp_path: Path, unpickled: list[str]
) -> None:
    """Arrow once let the metadata of a column name a type by its pickle."""
    pflbench.run("fedavg", federation, rounds=1, results=results)
    (run,) = Store(results).runs()
    metadata = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Path(tmp_path)),
    }
    column = pa.field("round", pa.int64(), metadata=metadata)
    table = pa.table([[1]], schema=pa.schema([column]))
    pq.write_table(table, run.folder / "metrics.parquet")
    run.table("metrics")
    assert not unpickled


READERS = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("package", [pflbench, pflbench_algorithms])
def test_no_code_that_could(package: Any) -> None:
    files = list(Path(package.__file__).parent.rglob("*.py"))
    assert len(files) > 10
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {str(node.module).partition(".")[0]}
            else:
                names = set()
                if isinstance(node, ast.Call):
                    check_call(path, node)
            assert not names & READERS, f"{path}:{getattr(node, 'lineno', 0)}"


def check_call(path: Path, call: ast.Call) -> None:
    """Assert that what else could unpickle is told not to."""
    name, options = ast.unparse(call.func), {k.arg: ast.unparse(k.value) for k in call.keywords}
    where = f"{path}:{call.lineno}"
    assert name not in ("pd.read_pickle", "torch.jit.load"), where
    if name == "torch.load":
        assert options.get("weights_only") == "True", where
    if name in ("np.load", "numpy.load"):
        assert options.get("allow_pickle") == "False", where
