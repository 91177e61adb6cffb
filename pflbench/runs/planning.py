"""Resolving and checking a request: afterwards nothing about it can be wrong but the outcome."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from pflbench.engine import (
    Sharing,
    build_network,
    choose_device,
    choose_sharing,
    choose_types,
    fit_engine,
)
from pflbench.engine.apart import apart
from pflbench.engine.evaluation import Metric
from pflbench.engine.given import check_head, head_of
from pflbench.engine.privacy_accounting import accountant
from pflbench.errors import ImportChangesError, UnknownNameError
from pflbench.federation import Census, Federation, Participation
from pflbench.isolation import Guard
from pflbench.method import Layout, LocalBudget, Sgd
from pflbench.runs.data import sourced
from pflbench.runs.identity import command_for, named, with_data
from pflbench.runs.new_client_results import HeldOut, hold_out
from pflbench.runs.participation_plan import check_reached
from pflbench.runs.relatedness_setup import coordinates_for
from pflbench.runs.request import RERUN, RunRequest
from pflbench.schema import plugins
from pflbench.schema.error_text import named as named_plugin
from pflbench.schema.privacy import Gaussian
from pflbench.schema.scenario import Cell
from pflbench.schema.specs import AlgorithmSpec, resolve


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """A run that is ready to start.

    Attributes
    ----------
    request, cell
        What was asked for, and what that resolves to.
    spec, parameters, local_lr
        The method, and its clients' learning rate if that is not the scenario's.
    federation
        The data.
    participation
        Who takes part in the rounds.
    module, head
        The network, and the prefix of its classifier's parameters.
    device, engine
        Resolved.
    types
        Type of what is kept and computed, and that of matrix products if it is another.
    held
        Who of the federation takes part in the rounds, and who joins later.
    coordinates
        [N, k] how those that take part really relate, for a baseline that may know.
    privacy
        What is done to all that clients upload.
    notice
        One line that says what stands in for the data asked for, or "".
    remark
        One line that the run must say of its data and their partition, or "".
    dataset
        The data set as written.
    """

    request: RunRequest
    cell: Cell
    spec: AlgorithmSpec
    parameters: Any
    local_lr: float | None
    federation: Federation
    participation: Participation
    module: nn.Module
    head: str
    metrics: dict[str, Metric]
    device: torch.device
    engine: str
    types: tuple[torch.dtype, torch.dtype | None]
    held: HeldOut
    coordinates: np.ndarray | None
    privacy: Gaussian | None
    notice: str
    remark: str
    dataset: str

    @property
    def sgd(self) -> Sgd:
        """The clients' optimiser."""
        s = self.cell.scenario
        lr = s.lr if self.local_lr is None else self.local_lr
        return Sgd(lr, s.momentum, s.weight_decay)

    @property
    def budget(self) -> LocalBudget:
        """The local budget."""
        s = self.cell.scenario
        return LocalBudget(s.batch_size, epochs=s.local_epochs, steps=s.local_steps)

    def sharing(self, processes: int = 1) -> Sharing:
        """How a process shares out its part of a cohort.

        Raises
        ------
        InputError
            The request's chunk is none, or its engine has none.
        """
        s, sizes = self.cell.scenario, self.federation.train.sizes
        return choose_sharing(
            self.engine,
            self.request.chunk,
            rows=-(-self.participation.largest // processes),
            columns=Layout.of(self.module, self.head).columns,
            width=min(s.batch_size, int(sizes.max())),
            dtype=self.types[0],
            device=self.device,
        )

    @property
    def command(self) -> str:
        """The command that runs this cell again."""
        return command_for(self.cell, self.dataset)


@apart()
def plan(request: RunRequest, registry: plugins.Registry | None = None) -> PlannedRun:
    """Resolve a request, load its data and check everything; write nothing.

    Raises
    ------
    InputError
        Something cannot be done as asked.
    """
    registry = registry or plugins.installed()
    if request.rerun not in RERUN:
        raise UnknownNameError("choice for rerun", request.rerun, RERUN)
    read = named(request, registry)
    for half in (read.spec.client, read.spec.server):  # what cannot be imported is said at once
        with suppress(ImportChangesError):  # which is put back: of the method's runs it is said
            resolve(half, owner=f"algorithm {read.spec.name!r}")
    if read.privacy is not None:
        accountant()  # that it is missing is said before a run
    device = choose_device(request.device)
    types = choose_types(read.settled["precision"], device)
    found = with_data(read, registry)
    data = sourced(found.wanted)
    federation, cell = data.federation, found.cell
    build_model = resolve(found.model.build, owner=f"model {found.model.name!r}")
    with Guard(partial(named_plugin, found.model))("build"):
        module = build_network(
            build_model,
            found.model_parameters,
            federation.input_shape,
            federation.classes,
            seed=cell.seed,
            name=found.model.name,
        )
    head = head_of(module, found.model.head)
    layout = Layout.of(module, head, name=found.model.name)
    engine, fallback = fit_engine(
        request.engine,
        module,
        layout,
        federation.train.x,
        federation.classes,
        device=device,
        types=types,
        name=found.model.name,
    )
    check_head(layout, found.model.name)
    held = hold_out(federation, found.new_clients, cell.seed)
    parameters = read.settings.parameters
    participation = found.participating.make(Census(held.participants, cell.seed))
    check_reached(participation, cell.scenario.participation, cell.scenario.rounds)
    planned = PlannedRun(
        request=request,
        cell=cell,
        spec=read.spec,
        parameters=parameters,
        local_lr=read.settings.local_lr,
        federation=federation,
        participation=participation,
        module=module,
        head=head,
        metrics={
            m.name: resolve(m.function, owner=f"metric {m.name!r}")
            for m in registry.metrics.specs()
        },
        device=device,
        engine=engine,
        types=types,
        held=held,
        coordinates=coordinates_for(parameters, held.participants, registry),
        privacy=None if read.privacy is None else read.privacy[1],
        notice=" ".join(filter(None, (data.notice, fallback))),
        remark=data.remark,
        dataset=data.written,
    )
    planned.sharing()
    return planned
