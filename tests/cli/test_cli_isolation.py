"""Methods that disturb all others, run beside one that does not: only their own cells fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import SMALL, Process
from test_cli_bad_input import plugin

from pflbench.results import Store, StoredRun

_RECORDS = """
import pflbench

@pflbench.hookimpl
def pflbench_algorithms():
    return [
        pflbench.AlgorithmSpec(name, "x", "pflbench.method:Client", f"{module}:Server")
        for name, module in (("double", "double_code"), ("ending", "ending_code"))
    ]
"""

_DOUBLE = """
import torch
from pflbench.method import AveragingServer
torch.set_default_dtype(torch.float64)

class Server(AveragingServer): pass
"""

_ENDING = """
from os import _exit
from pflbench.method import AveragingServer

class Server(AveragingServer):
    def aggregate(self, round, cohort, uploads):
        _exit(0)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    plugin(made, "rude", _RECORDS)
    (made / "double_code.py").write_text(_DOUBLE)
    (made / "ending_code.py").write_text(_ENDING)
    return made


def _runs(folder: Path) -> dict[str, StoredRun]:
    return {run.cell["algorithm"]["name"]: run for run in Store(folder).runs()}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_only_the_cells_of_plugins_that_disturb_others_fail(
    jobs: str, process: Process, folder: Path, data: str, site: Path
) -> None:
    common = ("--dataset", data, *SMALL, "--jobs", jobs)
    beside = process(
        "run", "--algo", "double,ending,fedavg", *common, "--results", "beside", path=site
    )
    assert beside.returncode == 1, beside.stderr
    assert "The code of algorithm 'double' (double_code), when it is imported" in beside.stderr
    assert "PyTorch's default type from torch.float32 to torch.float64" in beside.stderr
    assert "os._exit, which would end the process" in beside.stderr
    assert "pflbench itself" not in beside.stderr
    runs = _runs(folder / "beside")
    assert {name: run.status for name, run in runs.items()} == {
        "double": "failed",
        "ending": "failed",
        "fedavg": "complete",
    }
    alone = process("run", "--algo", "fedavg", *common, "--results", "alone")
    assert alone.returncode == 0, alone.stderr
    before = _runs(folder / "alone")["fedavg"].table("metrics")
    assert runs["fedavg"].table("metrics").equals(before)
