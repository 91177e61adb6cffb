"""Keeping the predictions of a run during its rounds (`keep_predictions`)."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from pflbench.engine.interface import Padded
from pflbench.engine.personal_evaluation import Take
from pflbench.errors import InputError, Notice
from pflbench.federation import Split
from pflbench.results import StoredRun, client_table, selected_round
from pflbench.results.prediction_file import KeptPredictions, kept_predictions
from pflbench.runs.planning import PlannedRun
from pflbench.runs.request import RunRequest
from pflbench.runs.writers import Shared
from pflbench.schema.kept_rounds import wanted_rounds


class PredictionKeeper:
    """Keeps the predictions that a request asks for, and sees that no others are left.

    Parameters
    ----------
    planned
        The run.
    writer
        Where its predictions go.
    """

    def __init__(self, planned: PlannedRun, writer: Shared) -> None:
        self._planned, self._writer = planned, writer
        self._which = planned.request.keep_predictions
        self._found: dict[str, dict[int, tuple[Tensor, Tensor]]] = defaultdict(dict)

    @property
    def take(self) -> Take | None:
        """What an evaluation hands its outputs to; None if none are kept."""
        self._found.clear()
        return None if self._which is None else self._take

    def _take(self, split: Split, clients: np.ndarray, outputs: Padded) -> None:
        log_p = F.log_softmax(outputs.logits.detach(), dim=-1)
        for k, i in enumerate(clients.tolist()):
            real = outputs.mask[k] > 0
            self._found[split][i] = log_p[k][real].cpu(), outputs.y[k][real].cpu()

    def evaluated(self, done: int, evaluations: Sequence[pd.DataFrame], *, last: bool) -> None:
        """Keep the predictions of round `done`, which has been evaluated, if they are asked for."""
        if self._which is None:
            return
        if self._which == "last":
            wanted = last
        else:
            wanted = selected_round(client_table(pd.concat(evaluations), "val")) == done
        if wanted:
            numbers = tuple(self._planned.held.numbers.tolist())
            kept = KeptPredictions(self._which, done, numbers)
            self._writer.keep_predictions(kept, self._tensors())
        self._found.clear()

    def end(self, selected: int, last: int) -> None:
        """Leave the predictions asked for, or none."""
        there, which = self._writer.predictions, self._which
        if which is not None and there is not None:
            wanted = wanted_rounds(which, selected, last)
            if there.which == which and {there.round} == wanted:
                return
        self._writer.forget_predictions()
        if which is not None:
            warnings.warn(_without(self._planned.cell.id, which), Notice, stacklevel=2)

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {}
        for split, found in self._found.items():
            rows = [found[i] for i in sorted(found)]
            tensors[f"{split}.log_probabilities"] = torch.cat([log_p for log_p, _ in rows])
            tensors[f"{split}.labels"] = torch.cat([y for _, y in rows])
            tensors[f"{split}.samples"] = torch.tensor([len(y) for _, y in rows])
        return tensors


def tell_without_predictions(run: StoredRun, request: RunRequest) -> None:
    """Say of a complete run that it is returned without the predictions asked for, if it is so."""
    which = request.keep_predictions
    if which is None:
        return
    selected, last = (run.summary.get(name, 0) for name in ("selected_round", "rounds"))
    try:
        there = {kept_predictions(run).round}
    except InputError:
        there = set()
    if there != wanted_rounds(which, selected, last):
        warnings.warn(_without(run.id, which), Notice, stacklevel=2)


def _without(run_id: str, which: str) -> str:
    return (
        f"Run {run_id} is stored without the predictions that --keep-predictions {which} asks for: "
        "to get them, run it again with --rerun always."
    )
