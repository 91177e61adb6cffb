"""Two stages of one method: the model of all clients, and the personal one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_federations import federation_of, simulate

from pflbench import leaderboard
from pflbench.analysis.history import histories
from pflbench.analysis.protocol import GLOBAL_HEADLINE
from pflbench.cli.main import main
from pflbench.engine.personal_evaluation import evaluate_generic
from pflbench.errors import UnknownNameError
from pflbench.results import Store
from pflbench.results.measures import STAGES
from pflbench.runs import execute, plan
from pflbench.runs.comparison import compare_runs
from pflbench.runs.request import RunRequest
from pflbench_algorithms.ditto import Ditto
from pflbench_algorithms.fedala import FedALA
from pflbench_algorithms.fedavg_ft import FineTuned
from pflbench_algorithms.fedphp import FedPHP

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
METHODS = {
    "fedavg_ft.client:FedAvgFT": FineTuned(),
    "ditto.client:DittoClient": Ditto(weighting="samples"),
    "fedala.client:FedALAClient": FedALA(),
    "fedphp.client:FedPHPClient": FedPHP(lam=0.0),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages")
    data = folder / "few.npz"
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4
    np.savez(data, x=(rng.normal(size=(400, 6)) + np.eye(4, 6)[y]).astype("f4"), y=y)
    for name in ("fedavg", "fedavg-ft", "local", "fedavg+ft"):
        request = RunRequest(
            name, f"npz:{data}", partition="iid", clients=3, rounds=2, eval_every=1
        )
        execute(plan(request), Store(folder / "results", create=True))
    return folder / "results"


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("client", METHODS)
def test_the_global_stage_is_what_fedavg_is_evaluated_as(client: str, engine: str) -> None:
    data = federation_of((6, 6, 6))
    half, parameters = f"pflbench_algorithms.{client}", METHODS[client]
    both = simulate(half, federation=data, engine=engine, parameters=parameters)
    plain = simulate(federation=data, engine=engine)
    for sim in (both, plain):
        sim.round(0)
    before = {name: rows.clone() for name, rows in both.state().items()}
    found, expected = evaluate_generic(both, 1), plain.evaluate(1)[0]
    assert found is not None
    assert evaluate_generic(plain, 1) is None
    assert set(found["stage"]) == {"global"}
    numbers = ["round", "client", "samples", "correct"]
    assert found[numbers].equals(expected[numbers])
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-9)
    assert all(torch.equal(rows, before[name]) for name, rows in both.state().items())


def test_a_run_stores_its_stages_beside_its_metrics(results: Path) -> None:
    runs = {run.typed_cell.algorithm.name: run for run in Store(results).runs()}
    variant = runs["fedavg+ft"].table(STAGES)
    assert variant["correct"].equals(runs["fedavg-ft"].table(STAGES)["correct"])
    assert [runs[n].has_table(STAGES) for n in ("fedavg", "fedavg-ft", "local")] == [0, 1, 0]
    for run in runs.values():
        assert set(run.table("metrics")["stage"]) == {"personal"}
    before, plain = runs["fedavg-ft"].table(STAGES), runs["fedavg"].table("metrics")
    assert before["correct"].equals(plain["correct"])  # the same training, the same model
    assert list(before.columns) == list(plain.columns)


def test_boards_are_of_a_stage(results: Path) -> None:
    (personal,), (general,) = leaderboard(results), leaderboard(results, stage="global")
    rows = {row.algorithm: row for row in general.rows}
    for name in ("fedavg", "fedavg-ft"):
        assert rows[name].measures is not None
    assert rows["fedavg-ft"].measures.test_accuracy == rows["fedavg"].measures.test_accuracy  # type: ignore[union-attr]
    assert [rows[n].stage for n in ("fedavg-ft", "fedavg")] == ["global", "personal"]
    assert "The global model, before it is made personal: fedavg+ft, fedavg-ft." in general.notes
    assert "The only model that is stored: fedavg, local." in general.notes
    assert all(row.stage == "personal" for row in personal.rows)
    assert "stage" not in personal.records()[0]
    done = CliRunner().invoke(main, ["leaderboard", "--results", str(results), "--stage", "global"])
    assert "Here the global model stands for the personal one" in " ".join(done.output.split())
    with pytest.raises(UnknownNameError, match="personal"):
        leaderboard(results, stage="persnal")  # type: ignore[arg-type]


@pytest.mark.slow
def test_tables_and_reports_are_of_a_stage(results: Path, tmp_path: Path) -> None:
    def lines(*more: str) -> dict[str, str]:
        arguments = ["table", "--results", str(results), "--spread", "none", *more]
        done = CliRunner().invoke(main, [*arguments, "--format", "csv"])
        assert done.exit_code == 0, done.output
        values = (line.split(",") for line in done.output.splitlines()[1:])
        return {line[0]: line[4] for line in values}

    personal, general = lines(), lines("--stage", "global")
    assert general["fedavg-ft"] == general["fedavg"] == personal["fedavg"]
    assert general["local"] == personal["local"]
    told = CliRunner().invoke(main, ["table", "--results", str(results), "--stage", "global"])
    assert GLOBAL_HEADLINE in " ".join(told.output.split())

    page = tmp_path / "report.html"
    arguments = ["report", "--results", str(results), "--stage", "global", "--out", str(page)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert GLOBAL_HEADLINE in page.read_text("utf-8")
    (board,) = leaderboard(results, stage="global")
    curves = histories(board, Store(results))
    (tuned,), (plain,) = curves["fedavg-ft"], curves["fedavg"]
    np.testing.assert_array_equal(tuned.test, plain.test)


@pytest.mark.slow
def test_runs_of_earlier_versions_stand_with_their_only_model(
    results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results, tmp_path / "old")
    runs = Store(results).runs()
    (run,) = [r for r in runs if r.typed_cell.algorithm.name == "fedavg-ft"]
    (tmp_path / "old" / run.folder.relative_to(results) / f"{STAGES}.parquet").unlink()
    (old,) = [r for r in Store(tmp_path / "old").runs() if r.id == run.id]
    assert not any(table.differences for table in compare_runs(run, old, None))
    (board,) = leaderboard(PUBLISHED, datasets="fashion-mnist", stage="global")
    assert {row.stage for row in board.rows} == {"personal"}
    assert board.rows == leaderboard(PUBLISHED, datasets="fashion-mnist")[0].rows
