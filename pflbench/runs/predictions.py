"""The stored predictions of a run, and metrics computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pandas as pd
import torch
from torch import Tensor

from pflbench.engine.evaluation import Metric, measure
from pflbench.engine.interface import Padded
from pflbench.errors import InputError, UnknownNameError
from pflbench.results import StoredRun
from pflbench.results.prediction_file import KeptPredictions, kept_predictions, read_predictions
from pflbench.results.stored import PREDICTIONS
from pflbench.schema.plugins import Registry, installed
from pflbench.schema.specs import resolve

EVALUATED: Final = ("val", "test")
MEASURED: Final = ("accuracy", "loss", "brier", "ece")
"""The metrics that every run has."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of all clients on one split, as they were evaluated.

    Attributes
    ----------
    round
        After which round.
    split
        "val" or "test".
    clients
        [N] numbers of the clients.
    samples
        [N] how many samples each has; the rows below are in this order.
    log_probabilities
        [n, C] of the classes, of all clients' samples.
    labels
        [n] labels.
    """

    round: int
    split: str
    clients: tuple[int, ...]
    samples: Tensor = field(repr=False)
    log_probabilities: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)

    @staticmethod
    def stored(run: StoredRun, split: str) -> Predictions:
        """Return a stored run's predictions on a split.

        Raises
        ------
        InputError
            It has none.
        """
        kept = kept_predictions(run)
        return Predictions.of(kept, read_predictions(run.folder / PREDICTIONS), split)

    @staticmethod
    def of(kept: KeptPredictions, tensors: Mapping[str, Tensor], split: str) -> Predictions:
        """Return the predictions on a split, of the tensors of a file."""
        if split not in EVALUATED:
            raise UnknownNameError("split with predictions", str(split), EVALUATED)
        names = ("samples", "log_probabilities", "labels")
        return Predictions(
            kept.round, split, kept.clients, *(tensors[f"{split}.{name}"] for name in names)
        )

    def client(self, number: int) -> tuple[Tensor, Tensor]:
        """Return a client's log-probabilities [n, C] and labels [n].

        Raises
        ------
        InputError
            There is no such client.
        """
        if number not in self.clients:
            raise InputError(
                f"There are no predictions of client {number!r}: expected one of the "
                f"{len(self.clients):,} that trained; new clients have none."
            )
        at = self.clients.index(number)
        rows = slice(int(self.samples[:at].sum()), int(self.samples[: at + 1].sum()))
        return self.log_probabilities[rows], self.labels[rows]

    def score(self, metric: str | Metric, registry: Registry | None = None) -> pd.Series[float]:
        """Compute a metric of every client.

        Parameters
        ----------
        metric
            A metric's name, "macro-f1" or "accuracy", or a function (logits [n, C], y [n],
            mask [n]) to a scalar.
        registry
            Where names are looked up; None for the installed plugins.

        Returns
        -------
        pd.Series
            A number a client, NaN where it is undefined.

        Raises
        ------
        InputError
            There is no metric of that name.
        """
        name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
        values = [self._measured(i, metric, registry or installed()) for i in self.clients]
        index = pd.Index(self.clients, name="client")
        return pd.Series(values, index=index, name=name, dtype=float)

    def _measured(self, number: int, metric: str | Metric, registry: Registry) -> float:
        log_p, y = (tensor.unsqueeze(0) for tensor in self.client(number))
        outputs = Padded(log_p, y, torch.ones_like(log_p[..., 0]))
        if isinstance(metric, str) and metric in MEASURED:
            found = measure(outputs)
            if metric == "accuracy":
                return float(found["correct"]) / float(found["samples"])
            return float(found[metric])
        function = metric if not isinstance(metric, str) else _named(metric, registry)
        return float(measure(outputs, {"it": function})["it"])


def _named(name: str, registry: Registry) -> Metric:
    names = {spec.name: spec for spec in registry.metrics.specs()}
    if name not in names:
        raise UnknownNameError("metric", name, [*MEASURED, *names])
    function: Metric = resolve(names[name].function, owner=f"metric {name!r}")
    return function
