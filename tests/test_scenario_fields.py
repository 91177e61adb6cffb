"""A scenario's field is declared once: made-up ones, added to a copy of the table, show everywhere.

The copy is of the whole package, and each entry is one in its source; other processes import it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pflbench
from pflbench.errors import InputError
from pflbench.runs import RunRequest
from pflbench.runs.identity import identify
from pflbench.schema.scenario_fields import ScenarioField, scenario_fields

ROOT = Path(__file__).parents[1]

ENTRIES = """
    optimiser: Literal["sgd", "adam"] = scenario_field(  # noqa: RUF009
        "sgd", "rule of a local step", page="scenarios.md#optimisers"
    )
    dampening: float = scenario_field(0.0, "dampening of the momentum", ge=0, le=1)
    warm_rounds: int = scenario_field(0, "rounds of a smaller learning rate", ge=0)
    nesterov: bool = scenario_field(False, "whether the momentum looks ahead")

"""

SCRIPT = r"""
import importlib.util, json, sys
from pathlib import Path
from click.testing import CliRunner
import pflbench
from pflbench.analysis.row_names import describe, title, titles
from pflbench.cli.main import main
from pflbench.experiments.grid import read_matrix
from pflbench.results import Store
from pflbench.runs import RunRequest
from pflbench.runs.identity import identify
from pflbench.runs.reproduction import request_of

def call(*words):
    done = CliRunner().invoke(main, words)
    return [done.exit_code, done.output]

found = {"package": pflbench.__file__}
run = ("run", "--algo", "local", "--dataset", "npz:points.npz", "--clients", "3", "--rounds", "1",
       "--partition", "iid", "--device", "cpu", "--quiet")
off = ("--optimiser", "adam", "--dampening", "0.5", "--warm-rounds", "2", "--nesterov", "true")
found["help"] = call("run", "--help")[1]
found["plain"] = call(*run, "--results", "plain")
found["off"] = call(*run, *off, "--results", "off")
found["mistyped"] = call(*run, "--optimiser", "adm")
found["beyond"] = call(*run, "--dampening", "2")
try:
    identify(RunRequest("local", "npz:points.npz", dampening=2))
except pflbench.errors.InputError as error:
    found["python"] = str(error)
for name in ("plain", "off"):
    (stored,) = Store(Path(name)).runs()
    scenario = stored.typed_cell.scenario
    found[f"{name} run"] = {
        "id": stored.id,
        "scenario": stored.cell["scenario"],
        "command": stored.labels["command"],
        "title": title("points", scenario),
        "words": describe(scenario, {}),
        "asked": [getattr(request_of(stored), key) for key in
                  ("optimiser", "dampening", "warm_rounds", "nesterov")],
    }
Path("matrix.toml").write_text('''
methods = ["local"]
[scenario]
dataset = "npz:points.npz"
optimiser = ["sgd", "adam"]
warm-rounds = 2
nesterov = true
[[exclude]]
optimiser = "sgd"
''')
(request,) = read_matrix("matrix.toml").requests()
found["file"] = [request.optimiser, request.warm_rounds, request.nesterov]
wrong = 'methods = ["local"]\n[scenario]\ndataset = "mnist"\nwarm_rounds = -1'
Path("wrong.toml").write_text(wrong)
found["wrong file"] = call("run", "--matrix", "wrong.toml")
spec = importlib.util.spec_from_file_location("tables", sys.argv[1])
tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tables)
found["rows"] = tables.rows("matrix.md")
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a package with the made-up entries shows of them."""
    folder = tmp_path_factory.mktemp("fields")
    shutil.copytree(ROOT / "pflbench", folder / "copy" / "pflbench")
    source = folder / "copy" / "pflbench" / "schema" / "scenario_fields.py"
    text = source.read_text("utf-8")
    place = "\n@dataclass(frozen=True, kw_only=True)\nclass ScenarioFields("
    assert text.count(place) == 1
    source.write_text(text.replace(place, ENTRIES + place), "utf-8")
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    np.savez(folder / "points.npz", x=rng.normal(size=(240, 6)).astype(np.float32), y=y)
    paths = [str(folder / "copy"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PFLBENCH_")},
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "120",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(ROOT / "tools" / "tables.py")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert values["package"].startswith(str(folder / "copy"))
    values["own id"] = identify(
        RunRequest("local", f"npz:{folder / 'points.npz'}", clients=3, rounds=1, partition="iid")
    ).cell.id
    return values


@pytest.mark.parametrize("field", scenario_fields().values(), ids=lambda field: field.name)
def test_run_takes_every_field_as_an_argument(field: ScenarioField) -> None:
    given = {field.name: field.default, "dataset": "nowhere"}
    with pytest.raises(InputError, match="data set 'nowhere'"):
        pflbench.run("local", **given)


@pytest.mark.slow
def test_options_are_in_the_help_with_default_and_placeholder(found: dict[str, Any]) -> None:
    text = " ".join(found["help"].split())
    assert "--optimiser sgd|adam Rule of a local step." in text
    assert "[default: sgd]" in text
    assert "--dampening X" in text
    assert "--warm-rounds N" in text
    assert "--nesterov" in text


@pytest.mark.slow
def test_values_of_options_and_files_are_checked(found: dict[str, Any]) -> None:
    assert found["mistyped"][0] == found["beyond"][0] == found["wrong file"][0] == 2
    assert "--optimiser 'adm' is not valid: expected sgd or adam." in found["mistyped"][1]
    assert "--dampening '2' is not valid: expected a number ≥ 0 and ≤ 1." in found["beyond"][1]
    assert "warm_rounds = '-1' is not valid" in found["wrong file"][1]
    assert found["python"].startswith("run.dampening = 2 is not valid: expected a number ≥ 0")


@pytest.mark.slow
def test_a_matrix_file_has_the_keys(found: dict[str, Any]) -> None:
    assert found["file"] == ["adam", 2, True]


@pytest.mark.slow
def test_no_identity_mentions_a_default(found: dict[str, Any]) -> None:
    assert found["plain"][0] == 0, found["plain"][1]
    run = found["plain run"]
    assert not {"optimiser", "dampening", "warm_rounds", "nesterov"} & set(run["scenario"])
    assert run["id"] == found["own id"]
    assert "optimiser" not in run["title"] + run["words"]


@pytest.mark.slow
def test_what_is_off_its_default_is_stored_said_and_asked_for_again(found: dict[str, Any]) -> None:
    assert found["off"][0] == 0, found["off"][1]
    run = found["off run"]
    assert run["id"] != found["own id"]
    values = {"optimiser": "adam", "dampening": 0.5, "warm_rounds": 2, "nesterov": True}
    assert values.items() <= run["scenario"].items()
    assert run["asked"] == list(values.values())
    assert "--optimiser adam --dampening 0.5 --warm-rounds 2 --nesterov" in run["command"]
    assert "optimiser adam · dampening 0.5 · warm rounds 2 · nesterov" in run["title"]
    assert "optimiser adam, dampening 0.5, warm rounds 2, nesterov" in run["words"]


@pytest.mark.slow
def test_the_documentation_gets_a_row(found: dict[str, Any]) -> None:
    assert (
        "| `optimiser` | `sgd`, `adam` | rule of a local step; default `sgd` "
        "(see [optimisers](scenarios.md#optimisers)) |" in found["rows"]
    )
    assert any(row.startswith("| `warm_rounds` | whole number ≥ 0 |") for row in found["rows"])
