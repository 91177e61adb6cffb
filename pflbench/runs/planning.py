"""Resolving and checking a request: afterwards nothing about it can be wrong but the outcome."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from pflbench import plugins
from pflbench.engine import (
    Sharing,
    choose_device,
    choose_engine,
    choose_sharing,
    choose_types,
)
from pflbench.engine.evaluation import Metric
from pflbench.errors import UnknownNameError
from pflbench.expressions import format_scalar, parse_expression
from pflbench.federation import Census, Federation, Participation
from pflbench.method import Layout, LocalBudget, Sgd
from pflbench.parameters import (
    Scalar,
    parameters_of_identity,
    parse_parameters,
)
from pflbench.privacy import Gaussian, read_privacy
from pflbench.privacy.accounting import accountant
from pflbench.runs.onboarding import HeldOut, hold_out
from pflbench.runs.participating import is_expression, participating
from pflbench.runs.relating import coordinates_for, named_plugins
from pflbench.runs.request import RERUN, RunRequest, new_clients_of
from pflbench.runs.sourcing import IN_MEMORY, source
from pflbench.scenario import Cell, Choice, Scenario, check_precision
from pflbench.specs import AlgorithmSpec, ModelSpec, resolve
from pflbench.streams import torch_stream


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """A run that is ready to start.

    Attributes
    ----------
    request, cell
        What was asked for, and what that resolves to.
    spec, parameters
        The method.
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
        One line that the user must see, or "".
    dataset
        The data set as written.
    """

    request: RunRequest
    cell: Cell
    spec: AlgorithmSpec
    parameters: Any
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
    dataset: str

    @property
    def sgd(self) -> Sgd:
        """The clients' optimiser."""
        s = self.cell.scenario
        return Sgd(s.lr, s.momentum, s.weight_decay)

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
            self.engine, self.request.chunk,
            rows=-(-self.participation.largest // processes),
            columns=Layout.of(self.module, self.head).columns,
            width=min(s.batch_size, int(sizes.max())), dtype=self.types[0], device=self.device,
        )  # fmt: skip

    @property
    def command(self) -> str:
        """The command that runs this cell again."""
        return command_for(self.cell, self.dataset)


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
    spec = registry.get(registry.algorithms, request.algorithm)
    parameters: Any = parse_parameters(spec.parameters, request.parameters, owner=spec.name)
    named_plugins(parameters, registry)
    for half in (spec.client, spec.server):  # code that cannot be imported is said before a start
        resolve(half, owner=f"algorithm {spec.name!r}")
    precision = check_precision(request.precision)
    privacy = None if request.privacy is None else read_privacy(request.privacy)
    if privacy is not None:
        accountant()  # that it is missing is said before a run
    device = choose_device(request.device)
    types = choose_types(precision, device)
    if request.model is not None:  # before any data is loaded
        _model(request.model, registry)
    if is_expression(request.participation):
        participating(str(request.participation), registry)
    new_clients_of(request)
    data = source(request, registry)
    federation = data.federation
    model_spec, model_parameters = _model(data.model, registry)
    build_model = resolve(model_spec.build, owner=f"model {model_spec.name!r}")
    # A stream of its own: parameters that a network draws without `reset_parameters` are the same
    # in every run of the seed, and the caller's random state is left alone.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_stream(data.numbers.seed, "build").initial_seed())
        module: nn.Module = build_model(
            model_parameters, federation.input_shape, federation.classes
        )
    Layout.of(module, model_spec.head)
    engine = choose_engine(request.engine, module, device)
    chosen = {f.name: getattr(data.numbers, f.name) for f in dataclasses.fields(data.numbers)}
    seed = chosen.pop("seed")
    new = new_clients_of(request, data.numbers.rounds)
    held = hold_out(federation, new, seed)
    number: float = chosen.pop("participation")
    asked = request.participation if is_expression(request.participation) else number
    part = participating(str(asked), registry)
    scenario = Scenario(
        dataset=data.written,
        fingerprint=federation.fingerprint,
        partition=data.partition,
        model=Choice(model_spec.name, parameters_of_identity(model_parameters), model_spec.version),
        precision=precision,
        participation=part.choice,
        privacy=None if privacy is None else privacy[0],
        population=data.population,
        new_clients=new,
        **{**chosen, "clients": federation.clients},
    )
    algorithm = Choice(spec.name, parameters_of_identity(parameters), spec.version)
    planned = PlannedRun(
        request=request,
        cell=Cell(scenario, algorithm, seed),
        spec=spec,
        parameters=parameters,
        federation=federation,
        participation=part.make(Census(held.participants, seed)),
        module=module,
        head=model_spec.head,
        metrics={
            m.name: resolve(m.function, owner=f"metric {m.name!r}")
            for m in registry.metrics.specs()
        },
        device=device,
        engine=engine,
        types=types,
        held=held,
        coordinates=coordinates_for(parameters, held.participants, registry),
        privacy=None if privacy is None else privacy[1],
        notice=data.notice,
        dataset=data.written,
    )
    planned.sharing()
    return planned


def _model(text: str, registry: plugins.Registry) -> tuple[ModelSpec, Any]:
    expression = parse_expression(text, kind="model")
    spec = registry.get(registry.models, expression.name)
    parameters: Any = parse_parameters(spec.parameters, expression.arguments, owner=spec.name)
    return spec, parameters


def command_for(cell: Cell, dataset: str) -> str:
    """Return the command that runs a cell again, every option written out.

    A federation in memory has none: the text is empty then.
    """
    s = cell.scenario
    if s.partition.name == IN_MEMORY.partition:
        return ""
    words = ["pflbench", "run", "--algo", cell.algorithm.name, "--dataset", dataset]
    words += ["--partition", _call(s.partition)]
    if s.population is not None:
        words += ["--population", _call(s.population)]
    words += ["--clients", str(s.clients), "--model", _call(s.model), "--rounds", str(s.rounds)]
    if s.local_epochs is not None:
        words += ["--local-epochs", str(s.local_epochs)]
    else:
        words += ["--local-steps", str(s.local_steps)]
    for option in ("batch_size", "lr", "momentum", "weight_decay", "participation", "eval_every",
                   "precision"):  # fmt: skip
        value = getattr(s, option)
        written = _call(value) if isinstance(value, Choice) else str(value)
        words += ["--" + option.replace("_", "-"), written]
    if s.privacy is not None:
        words += ["--privacy", _call(s.privacy)]
    words += [] if s.new_clients is None else s.new_clients.options()
    for name, value in cell.algorithm.parameters.items():
        words += ["--set", f"{cell.algorithm.name}.{name}={format_scalar(value)}"]
    words += ["--seed", str(cell.seed)]
    return shlex.join(words)


def _call(choice: Choice) -> str:
    arguments: list[tuple[str, Scalar]] = list(choice.parameters.items())
    if not arguments:
        return choice.name
    inside = ", ".join(f"{name}={format_scalar(value)}" for name, value in arguments)
    return f"{choice.name}({inside})"
