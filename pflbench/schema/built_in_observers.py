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
        ObserverSpec(
            "tensorboard", "Writes event files of TensorBoard", f"{_HERE}:TensorBoard", opt_in=True
        ),
        ObserverSpec(
            "wandb", "Writes runs of Weights & Biases, offline too", f"{_HERE}:WandB", opt_in=True
        ),
        ObserverSpec("mlflow", "Writes runs of MLflow", f"{_HERE}:MLflow", opt_in=True),
    ]
