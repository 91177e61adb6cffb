"""Observers that write a run's numbers for other programs: TensorBoard, W&B, MLflow.

Each writes into a folder of the results folder, and needs no server. Packages are imported when a
run starts, and only by the observer that was named.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from pflbench.extras import needed
from pflbench.runs.observer import Observer, Progress, RunInfo
from pflbench.runs.result import Result

Numbers = Mapping[str, float]


class Tracker(Observer):
    """Base of the three: what is written, and when.

    Parameters
    ----------
    folder
        Where to write; by default a folder of the tracker's name in the results folder, or in the
        present folder if the run is not stored.
    """

    name: str
    module: str

    def __init__(self, folder: Path | str | None = None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._evaluated = 0

    def started(self, info: RunInfo) -> None:
        """Open the run."""
        package = needed(self.module, f"The observer {self.name}", self.name)
        root = self._folder
        if root is None:
            results = Path() if info.folder is None else info.folder.parent.parent
            root = results / self.name
        root.mkdir(parents=True, exist_ok=True)
        self.open(package, root.resolve(), info)

    def round_done(self, progress: Progress) -> None:
        """Write the numbers of a round."""
        numbers = {
            "train_loss": progress.train_loss,
            "cohort": progress.cohort,
            "bytes_up": progress.bytes_up,
            "bytes_down": progress.bytes_down,
        }
        if progress.evaluation is not None:
            numbers["val_accuracy"] = progress.evaluation.val_mean
            numbers["val_worst_decile"] = progress.evaluation.val_worst_decile
        self.log({name: n for name, n in numbers.items() if isfinite(n)}, progress.round)

    def finished(self, result: Result) -> None:
        """Write the headline numbers, and close the run."""
        self.summarise(
            {k: float(v) for k, v in result.summary.items() if isinstance(v, int | float)}
        )
        self.close(failed=False)

    def failed(self, error: Exception) -> None:
        """Close the run."""
        self.close(failed=True)

    @abstractmethod
    def open(self, package: Any, folder: Path, info: RunInfo) -> None:
        """Begin to write, or continue if the run resumes."""

    @abstractmethod
    def log(self, numbers: Numbers, round: int) -> None:
        """Write numbers of a round."""

    @abstractmethod
    def summarise(self, numbers: Numbers) -> None:
        """Write numbers of the whole run."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End writing."""


class TensorBoard(Tracker):
    """Writes event files: `tensorboard --logdir results/tensorboard`."""

    name, module = "tensorboard", "tensorboard"

    def open(self, package: Any, folder: Path, info: RunInfo) -> None:
        """Open an event file in a folder of the run."""
        from torch.utils.tensorboard import SummaryWriter

        place = folder / f"{info.algorithm}-seed{info.seed}-{info.run_id}"
        self._writer: Any = SummaryWriter(str(place), purge_step=info.start_round + 1)
        self._writer.add_text("run", "\n\n".join(f"{k}: {v}" for k, v in about(info).items()))

    def log(self, numbers: Numbers, round: int) -> None:
        """Write scalars."""
        for name, number in numbers.items():
            self._writer.add_scalar(name, number, round)

    def summarise(self, numbers: Numbers) -> None:
        """Write scalars of the end, under `summary/`."""
        for name, number in numbers.items():
            self._writer.add_scalar(f"summary/{name}", number)

    def close(self, *, failed: bool) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WandB(Tracker):
    """Writes runs of Weights & Biases: online if WANDB_MODE or WANDB_API_KEY is set, else offline.

    `wandb sync results/wandb/wandb/offline-*` uploads them later.
    """

    name, module = "wandb", "wandb"

    def open(self, package: Any, folder: Path, info: RunInfo) -> None:
        """Begin a W&B run with the id of ours."""
        asked = "WANDB_MODE" in os.environ or "WANDB_API_KEY" in os.environ
        self._run: Any = package.init(
            project=os.environ.get("WANDB_PROJECT", "pflbench"),
            id=info.run_id,
            name=f"{info.algorithm}, seed {info.seed}",
            dir=str(folder),
            config=about(info),
            resume="allow",
            mode=None if asked else "offline",
            settings=package.Settings(silent=True, console="off"),
        )

    def log(self, numbers: Numbers, round: int) -> None:
        """Log numbers with the round as step."""
        self._run.log(dict(numbers), step=round)

    def summarise(self, numbers: Numbers) -> None:
        """Set the run's summary."""
        self._run.summary.update(dict(numbers))

    def close(self, *, failed: bool) -> None:
        """End the W&B run."""
        self._run.finish(exit_code=int(failed))


class MLflow(Tracker):
    """Writes runs of MLflow, to MLFLOW_TRACKING_URI if it is set, else into a file.

    `mlflow ui --backend-store-uri sqlite:///results/mlflow/mlflow.db` shows them.
    """

    name, module = "mlflow", "mlflow"

    def open(self, package: Any, folder: Path, info: RunInfo) -> None:
        """Begin an MLflow run."""
        uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        self._client: Any = package.MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name("pflbench")
        if found is None:
            place = None if "MLFLOW_TRACKING_URI" in os.environ else folder.as_uri()
            experiment = self._client.create_experiment("pflbench", artifact_location=place)
        else:
            experiment = found.experiment_id
        made = self._client.create_run(experiment, run_name=f"{info.algorithm}, seed {info.seed}")
        self._id = made.info.run_id
        for name, value in about(info).items():
            self._client.log_param(self._id, name, value)

    def log(self, numbers: Numbers, round: int) -> None:
        """Log numbers with the round as step."""
        for name, number in numbers.items():
            self._client.log_metric(self._id, name, number, step=round)

    def summarise(self, numbers: Numbers) -> None:
        """Log numbers without a step, under `summary_`."""
        for name, number in numbers.items():
            self._client.log_metric(self._id, f"summary_{name}", number)

    def close(self, *, failed: bool) -> None:
        """End the MLflow run."""
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")


def about(info: RunInfo) -> dict[str, Any]:
    """Return what identifies a run, as plain values."""
    names = ("run_id", "algorithm", "dataset", "partition", "clients", "rounds", "seed", "device")
    return {name: getattr(info, name) for name in names}
