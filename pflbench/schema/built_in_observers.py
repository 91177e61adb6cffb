"""The built-in observers, brought in as any plugin's; a run has those that it names."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import ObserverSpec

_HERE = "pflbench.runs.trackers"


@hookimpl
def pflbench_observers() -> Sequence[ObserverSpec]:
    """Return the built-in observers."""
    return [
        ObserverSpec(name, summary, f"{_HERE}:{made}", opt_in=True, package=name)
        for name, summary, made in (
            ("tensorboard", "Writes event files of TensorBoard", "TensorBoard"),
            ("wandb", "Writes runs of Weights & Biases, offline too", "WandB"),
            ("mlflow", "Writes runs of MLflow", "MLflow"),
        )
    ]
