"""A run's result, with tidy pandas frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike
from torch import Tensor, nn

from pflbench.errors import InputError
from pflbench.results import StoredRun
from pflbench.results.stored import SUMMARY
from pflbench.runs.personal_models import PersonalModels
from pflbench.runs.predictions import Predictions

_HEADLINE = ("selected_round", "test_accuracy", "test_worst_decile", "seconds")
"""Keys of the printed part of a summary."""


@dataclass(frozen=True)
class Result:
    """A complete run.

    Attributes
    ----------
    run_id
        12 hex digits that follow from everything that decides the numbers.
    cell
        That everything, as plain JSON values.
    summary
        The headline numbers: `test_accuracy` is the mean over clients at `selected_round`.
    folder
        Where it is stored; None for a run in memory.
    """

    run_id: str
    cell: Mapping[str, Any] = field(repr=False)
    summary: Mapping[str, Any]
    folder: Path | None
    _table: Callable[[str], pd.DataFrame] = field(repr=False)
    _models: Callable[[int | None], PersonalModels] | None = field(default=None, repr=False)
    _predictions: Callable[[str], Predictions] | None = field(default=None, repr=False)

    @staticmethod
    def stored(run: StoredRun) -> Result:
        """Return a stored run's result.

        Raises
        ------
        InputError
            Its summary lacks a headline number.
        """
        for name in _HEADLINE:
            if name not in run.summary:
                raise InputError(f"{run.folder / SUMMARY} is damaged: it lacks {name!r}.")
        return Result(
            run.id,
            run.cell,
            run.summary,
            run.folder,
            run.table,
            lambda round: PersonalModels.stored(run, round),
            lambda split: Predictions.stored(run, split),
        )

    def model(self, client: int, round: int | None = None) -> nn.Module:
        """Return a client's personal model, before adaptation, as a network in eval mode.

        Parameters
        ----------
        client
            Its number, as in `metrics`.
        round
            The round of the model, of a run that keeps several; None for the latest.

        Raises
        ------
        InputError
            The run kept no models (`keep_models`), none of this client or none of this round, or
            what is installed cannot build its network.
        """
        return self._kept(round).network(client)

    def predict(self, client: int, x: ArrayLike | Tensor, round: int | None = None) -> Tensor:
        """Return the probabilities that a client's personal model gives samples.

        Parameters
        ----------
        client
            Its number, as in `metrics`.
        x
            [n, *shape] samples, as the data set has them.
        round
            As of `model`.

        Returns
        -------
        Tensor
            [n, C] probabilities of the classes.

        Raises
        ------
        InputError
            As `model` says, or the samples have another shape.
        """
        return self._kept(round).probabilities(client, x)

    def predictions(self, split: str = "test") -> Predictions:
        """Return the stored predictions of all clients on a split, "val" or "test".

        `result.predictions().score("macro-f1")` computes a metric of every client from them.

        Raises
        ------
        InputError
            The run kept no predictions (`keep_predictions`).
        """
        if self._predictions is None:
            raise InputError(
                f"Run {self.run_id} has no predictions. To keep them, run it with "
                'keep_predictions="selected".'
            )
        return self._predictions(split)

    def _kept(self, round: int | None) -> PersonalModels:
        if self._models is None:
            raise InputError(
                f'Run {self.run_id} has no models. To keep them, run it with keep_models="last".'
            )
        return self._models(round)

    @property
    def metrics(self) -> pd.DataFrame:
        """Per evaluated round, client and split: samples, loss, correct, accuracy, brier, ece."""
        table = self._table("metrics")
        return table.assign(accuracy=table["correct"] / table["samples"])

    @property
    def rounds(self) -> pd.DataFrame:
        """Per round: cohort, steps, train_loss, bytes, seconds, memory."""
        return self._table("rounds")

    @property
    def messages(self) -> pd.DataFrame:
        """Per round, direction and kind of message: messages, bytes; set-up is round -1."""
        return self._table("messages")

    @property
    def participation(self) -> pd.DataFrame:
        """Per round and client that was invited, joined or left: uploaded, work, steps, event."""
        return self._table("participation")

    @property
    def privacy(self) -> pd.DataFrame:
        """Per client, if uploads were protected: their number, and ε."""
        return self._table("privacy")

    @property
    def onboarding(self) -> pd.DataFrame:
        """Accuracy and cost per new client, round and number of labels; empty without any."""
        table = self._table("onboarding")
        return table.assign(accuracy=table["correct"] / table["samples"])

    @property
    def partition(self) -> pd.DataFrame:
        """Per client, split and class: samples."""
        return self._table("partition")

    @property
    def clients(self) -> pd.DataFrame:
        """Per client: group, samples, distance from the others."""
        return self._table("clients")
