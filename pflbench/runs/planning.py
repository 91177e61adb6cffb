"""From a request to a plan: afterwards nothing can be wrong but the outcome."""

from __future__ import annotations

import dataclasses
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
from pflbench.engine.halves import halves
from pflbench.engine.interface import predicts
from pflbench.engine.privacy_accounting import accountant
from pflbench.engine.tokens import sized_by_tokens
from pflbench.errors import ImportChangesError, InputError, UnknownNameError
from pflbench.federation import Census, Federation, Participation
from pflbench.federation.participation import NEVER
from pflbench.federation.truth import true_coordinates
from pflbench.isolation import Guard
from pflbench.method import Clip, Layout, LocalBudget, Nature, Optimiser, Schedule, Sgd
from pflbench.runs.identity import Identified, Read, command_for, read, with_data
from pflbench.runs.new_client_results import HeldOut, hold_out
from pflbench.runs.request import RERUN, RunRequest
from pflbench.runs.resolved_data import PROCESS, DataCache
from pflbench.runs.warm_start import start_from
from pflbench.schema import plugins
from pflbench.schema.error_text import named
from pflbench.schema.realised import written
from pflbench.schema.settings import PluginName
from pflbench.schema.specs import resolve


@dataclass(frozen=True, eq=False)
class PlannedRun(Identified):
    """A run that is ready to start: its identity, and its parts.

    Attributes
    ----------
    federation
        The data.
    participation
        The participation rule of the rounds.
    module, head
        The network, and the prefix of its classifier's parameters.
    metrics
        Further columns of the metrics table.
    device, engine
        Resolved.
    nature
        The network's properties in training mode.
    types
        Number type of storage and computation, and of matrix products if different.
    held
        The participants of the federation, and the clients that join later.
    coordinates
        [N, k] how the participants really relate, for a baseline that may know.
    notice
        One line on the replacement of requested data, or "".
    remark
        One line on the run's data and their partition, or "".
    """

    federation: Federation
    participation: Participation
    module: nn.Module
    head: str
    metrics: dict[str, Metric]
    device: torch.device
    engine: str
    nature: Nature
    types: tuple[torch.dtype, torch.dtype | None]
    held: HeldOut
    coordinates: np.ndarray | None
    notice: str
    remark: str

    @property
    def parameters(self) -> Any:
        """The method's parameters."""
        return self.settings.parameters

    @property
    def optimiser(self) -> Optimiser:
        """The clients' optimiser."""
        s = self.cell.scenario
        lr = s.lr if self.settings.local_lr is None else self.settings.local_lr
        chosen = self.chosen.get("optimizer")
        if chosen is None:
            return Sgd(lr, s.momentum, s.weight_decay)
        made: Optimiser = chosen.maker()(lr, s.weight_decay, s.momentum)
        return made

    @property
    def schedule(self) -> Schedule:
        """The learning rate over the rounds."""
        chosen = self.chosen.get("schedule")
        made: Schedule = Schedule() if chosen is None else chosen.maker()()
        return made

    @property
    def clip(self) -> Clip:
        """The clipping of the clients' gradients."""
        return Clip(self.cell.scenario.clip_norm, self.cell.scenario.clip_value)

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
        command = command_for(self.cell, self.dataset)
        named = ",".join(self.request.metrics)
        return f"{command} --metrics {named}" if command and named else command


@apart()
def plan(
    request: RunRequest, registry: plugins.Registry | None = None, cache: DataCache = PROCESS
) -> PlannedRun:
    """Resolve a request, load its data and check everything; write nothing.

    Parameters
    ----------
    request
        The request.
    registry
        Where names are looked up; None for the installed plugins.
    cache
        Shared with other requests.

    Raises
    ------
    InputError
        Something cannot be done as asked.
    """
    asked = read(request, registry or plugins.installed())
    here = _here(asked)
    return _made(with_data(asked, cache), *here)


@apart()
def made(found: Identified) -> PlannedRun:
    """Make all parts of an identified run, and check everything; write nothing.

    Raises
    ------
    InputError
        Something cannot be done as asked.
    """
    return _made(found, *_here(found))


def _here(asked: Read) -> tuple[torch.device, tuple[torch.dtype, torch.dtype | None]]:
    """Check that this machine can run the request; return its device and number type."""
    if asked.request.rerun not in RERUN:
        raise UnknownNameError("choice for rerun", asked.request.rerun, RERUN)
    with suppress(ImportChangesError):  # undone here: the method's runs report it
        halves(asked.spec)  # import errors are raised first
    if asked.request.keep_models is not None:
        _check_kept(asked)
    if asked.privacy is not None:
        accountant()  # raises before a run if it is missing
    device = choose_device(asked.request.device)
    return device, choose_types(asked.settled["precision"], device)


def _check_kept(asked: Read) -> None:
    """Refuse to keep personal models of a method that has none."""
    with suppress(ImportChangesError):
        client, _ = halves(asked.spec)
        if predicts(client):
            raise InputError(
                f"--keep-models keeps one network a client, and {asked.spec.name} predicts with "
                "more: several models, prototypes, or the client's own samples. Leave it out; "
                "--keep-predictions keeps what it predicts."
            )


def _made(
    found: Identified, device: torch.device, types: tuple[torch.dtype, torch.dtype | None]
) -> PlannedRun:
    data, cell, network = found.data, found.cell, found.model.spec
    federation, notice, remark = data.federation, data.notice, data.remarks
    build_model = resolve(network.build, owner=f"model {network.name!r}")
    with Guard(partial(named, network))("build"):
        module = build_network(
            build_model,
            sized_by_tokens(found.model.parameters, federation),
            federation.input_shape,
            federation.classes,
            seed=cell.seed,
            name=network.name,
        )
    if found.init is not None:
        start_from(found.init, module, network.name)
    head = head_of(module, network.head)
    layout = Layout.of(module, head, name=network.name)
    if found.privacy is not None and layout.buffers:
        raise InputError(
            f"The model {network.name} keeps running statistics, which noise may make negative: "
            "expected a network without them for privacy, normalised by GroupNorm or LayerNorm."
        )
    fit = fit_engine(
        found.request.engine,
        module,
        layout,
        federation.train.x,
        federation.classes,
        device=device,
        types=types,
        name=network.name,
    )
    check_head(layout, network.name)
    held, new = HeldOut(federation, np.arange(federation.clients)), data.new_clients
    if new is not None:
        of = (federation, new.share, cell.seed)
        held = data.cache.last("held", of, partial(hold_out, federation, new, cell.seed))
    participation = found.attendance(Census(held.participants, cell.seed))
    _check_reached(participation, found)
    planned = PlannedRun(
        **vars(found),
        federation=federation,
        participation=participation,
        module=module,
        head=head,
        metrics={
            m.name: resolve(m.function, owner=f"metric {m.name!r}")
            for m in found.registry.metrics.specs()
            if not m.opt_in or m.name in found.request.metrics
        },
        device=device,
        engine=fit.engine,
        nature=fit.nature,
        types=types,
        held=held,
        coordinates=_coordinates(found.settings.parameters, held.participants),
        notice=" ".join(filter(None, (notice, fit.notice))),
        remark=remark,
    )
    planned.sharing()
    _ = planned.optimiser, planned.schedule  # what cannot be made is said before a run
    return planned


def _check_reached(made: Participation, found: Identified) -> None:
    """Refuse a participation with events that the run does not reach."""
    said, rounds = found.cell.scenario.participation, found.cell.scenario.rounds

    def words() -> float | str:
        return said if isinstance(said, int | float) else written(said)

    for does, when in (("joins", made.arrivals()), ("leaves", made.departures())):
        late = when[(when >= rounds) & (when != NEVER)]
        if len(late):
            raise InputError(
                f"{words()} is not reached: a client {does} in round {int(late.max()) + 1:,}, and "
                f"the run's last round is {rounds:,}. Expected rounds of the run."
            )
    if made.cycle > rounds:
        raise InputError(
            f"{words()} is not reached: its cycle has {made.cycle:,} rounds, and the run's last "
            f"round is {rounds:,}. Expected a whole cycle at least."
        )


def _coordinates(parameters: Any, federation: Federation) -> np.ndarray | None:
    """Return how the clients really relate, for a baseline that asks; None for all others."""
    values = [getattr(parameters, field.name) for field in dataclasses.fields(parameters)]
    named = [value.spec for value in values if isinstance(value, PluginName)]
    asking = [spec for spec in named if getattr(spec, "needs_truth", False)]
    if not asking:
        return None
    known = true_coordinates(federation)
    if known is None:
        raise InputError(
            f"{asking[0].name!r} needs a scenario that knows how its clients relate, such as "
            "--partition 'rotated(step=10)'; this one does not."
        )
    return known
