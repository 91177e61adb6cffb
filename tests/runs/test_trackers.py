"""TensorBoard, W&B and MLflow get a run's numbers, each read again by its own package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pflbench
from pflbench.errors import InputError, Notice, UnknownNameError
from pflbench.federation import Federation
from pflbench.runs import trackers

SHORT: dict[str, Any] = {"rounds": 2, "eval_every": 1, "local_epochs": 1, "device": "cpu"}


@pytest.fixture(autouse=True)
def _nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def run(federation: Federation, results: Path, *names: Any) -> pflbench.Result:
    return pflbench.run("fedavg", federation, results=results, observers=names, **SHORT)


def test_runs_name_their_observers(federation: Federation, results: Path) -> None:
    plain = pflbench.run("fedavg", federation, **SHORT)
    with pytest.raises(UnknownNameError, match="tensorboard"):
        run(federation, results, "tensorbord")
    assert not results.exists()
    assert run(federation, results).run_id == plain.run_id
    assert {path.name for path in results.iterdir() if path.is_dir()} <= {"runs", ".locks"}


def test_one_whose_package_is_missing_is_refused_before_anything_runs(
    federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pflbench.extras.find_spec", lambda package: None)
    with pytest.raises(InputError, match=r"The observer wandb needs W&B: pip install wandb\."):
        run(federation, results, "wandb")
    assert not results.exists()


def test_one_that_cannot_work_stops_no_run(
    federation: Federation, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pflbench.extras.find_spec", lambda package: package)
    for module in ("pflbench_no_such_module", "json"):  # not installed; not what it is taken for
        monkeypatch.setattr(trackers.MLflow, "module", module)
        with pytest.warns(Notice, match="The observer MLflow failed at 'started'"):
            done = run(federation, results / module, "mlflow")
        assert done.summary["rounds"] == 2


def test_tensorboard(federation: Federation, results: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run(federation, results, "tensorboard")
    (folder,) = (results / "tensorboard").iterdir()
    assert done.run_id in folder.name
    events = EventAccumulator(str(folder)).Reload()
    losses = events.Scalars("train_loss")
    assert [event.step for event in losses] == [1, 2]
    assert [event.value for event in losses] == pytest.approx(done.rounds["train_loss"].tolist())
    (accuracy,) = events.Scalars("summary/test_accuracy")
    assert accuracy.value == pytest.approx(done.summary["test_accuracy"])


def test_wandb_offline(federation: Federation, results: Path) -> None:
    pytest.importorskip("wandb")
    done = run(federation, results, "wandb")
    (folder,) = (results / "wandb" / "wandb").glob("offline-run-*")
    (log,) = folder.glob("*.wandb")
    content = log.read_bytes()
    assert done.run_id.encode() in content
    for name in (b"train_loss", b"val_accuracy", b"test_accuracy"):
        assert name in content


def test_mlflow(federation: Federation, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")  # which mlflow-skinny leaves out
    tracker = trackers.MLflow(tmp_path / "elsewhere")
    done = run(federation, tmp_path / "results", tracker)
    place = tmp_path / "elsewhere" / "mlflow.db"
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{place}")
    experiment = client.get_experiment_by_name("pflbench")
    (stored,) = client.search_runs([experiment.experiment_id])
    assert stored.info.status == "FINISHED"
    assert stored.data.params["run_id"] == done.run_id
    assert stored.data.metrics["summary_test_accuracy"] == pytest.approx(
        done.summary["test_accuracy"]
    )
    history = client.get_metric_history(stored.info.run_id, "train_loss")
    assert [(m.step, pytest.approx(m.value)) for m in history] == list(
        zip([1, 2], done.rounds["train_loss"], strict=True)
    )
