"""Keeping the personal models of a run during its rounds (`keep_models`)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import pandas as pd
import torch
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.errors import InputError, Notice
from pflbench.method import Layout
from pflbench.results import StoredRun, client_table, selected_round
from pflbench.results.model_file import KeptModels, all_kept
from pflbench.runs.planning import PlannedRun
from pflbench.runs.request import RunRequest
from pflbench.runs.writers import Shared
from pflbench.schema.kept_rounds import step_of, wanted_rounds

_TOGETHER: Final = 256
"""Clients whose models are made at a time."""


class ModelKeeper:
    """Keeps the models that a request asks for, and sees that no others are left.

    Parameters
    ----------
    planned, simulation
        The run.
    writer
        Where its models go.
    """

    def __init__(self, planned: PlannedRun, simulation: Simulation, writer: Shared) -> None:
        self._planned, self._simulation, self._writer = planned, simulation, writer
        self._which = planned.request.keep_models

    def played(self, done: int, evaluations: Sequence[pd.DataFrame], *, last: bool) -> None:
        """Keep the models of round `done` if they are asked for.

        Parameters
        ----------
        done
            The round.
        evaluations
            All so far, the round's among them; empty if it has not been evaluated.
        last
            Whether it is the last one.
        """
        if self._which is None:
            return
        if self._which == "selected":
            there = client_table(pd.concat(evaluations), "val") if evaluations else None
            wanted = there is not None and selected_round(there) == done
        else:
            step = step_of(self._which)
            wanted = last or (step > 0 and done % step == 0)
        if wanted:
            self._keep(done)

    def end(self, selected: int, last: int) -> None:
        """Leave the models asked for, given which round was selected and which was the last."""
        which = self._which
        wanted = set() if which is None else wanted_rounds(which, selected, last)
        kept = [m for m in self._writer.models if m.which == which and m.round in wanted]
        self._writer.forget_models(kept)
        if which is not None and len(kept) < len(wanted):
            warnings.warn(_without(self._planned.cell.id, which), Notice, stacklevel=2)

    def _keep(self, done: int) -> None:
        p = self._planned
        assert self._which is not None
        sim, everyone = self._simulation, self._simulation.everyone
        starts = range(0, len(everyone), _TOGETHER)
        W = torch.cat([sim.personal(everyone[at : at + _TOGETHER]).cpu() for at in starts])
        rows, common = named_models(p.module, Layout.of(p.module, p.head), W)
        models = KeptModels(
            self._which,
            done,
            tuple(p.held.numbers.tolist()),
            tuple(common),
            tuple(p.federation.input_shape),
            p.federation.classes,
        )
        self._writer.keep(models, {**rows, **common})


def named_models(
    module: nn.Module, layout: Layout, W: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of rows [N, P] as `state_dict` names them, and those outside of rows.

    Returns
    -------
    [N, *shape] tensors, whole numbers where the network's are, and those that are not trained.
    """
    held = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    columns = layout.unflatten(W)
    names = {id(held[name]): name for name in layout.names}  # a shared tensor has several names
    rows: dict[str, Tensor] = {}
    common: dict[str, Tensor] = {}
    for name, own in module.state_dict(keep_vars=True).items():
        if id(own) in names:
            value = columns[names[id(own)]]
            rows[name] = value if own.is_floating_point() else value.floor().to(own.dtype)
        elif isinstance(own, Tensor):
            common[name] = own
    return rows, common


def tell_not_kept(run: StoredRun, request: RunRequest) -> None:
    """Say of a complete run that it is returned without the models asked for, if it is so."""
    which = request.keep_models
    if which is None:
        return
    try:
        there = {models.round for models in all_kept(run.folder)}
    except InputError:
        there = set()
    selected, last = (run.summary.get(name, 0) for name in ("selected_round", "rounds"))
    if not wanted_rounds(which, selected, last) <= there:
        warnings.warn(_without(run.id, which), Notice, stacklevel=2)


def _without(run_id: str, which: str) -> str:
    return (
        f"Run {run_id} is stored without the models that --keep-models {which} asks for: to get "
        "them, run it again with --rerun always."
    )
