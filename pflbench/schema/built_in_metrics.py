"""The built-in metrics, brought in as any plugin's; a run has those that it names."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import MetricSpec

_HERE = "pflbench.engine.class_metrics"


@hookimpl
def pflbench_metrics() -> Sequence[MetricSpec]:
    """Return the built-in metrics."""
    return [
        MetricSpec(
            "balanced-accuracy",
            "mean over a client's classes of the share of their samples that is recognised",
            f"{_HERE}:balanced_accuracy",
            opt_in=True,
        ),
        MetricSpec(
            "macro-f1",
            "mean of the F1 score over the classes that a client has or its model predicts",
            f"{_HERE}:macro_f1",
            opt_in=True,
        ),
        MetricSpec(
            "macro-auc",
            "mean over a client's classes of the area under the ROC curve, one against the rest",
            f"{_HERE}:macro_auc",
            opt_in=True,
            undefined="a client with samples of one class only",
        ),
        MetricSpec(
            "top-5-accuracy",
            "share of samples whose label is among the five most probable classes",
            f"{_HERE}:top_5_accuracy",
            opt_in=True,
        ),
    ]
