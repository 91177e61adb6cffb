"""Resolving and checking a request: afterwards nothing about it can be wrong but the outcome."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pflbench import plugins
from pflbench.engine import choose_device, choose_engine
from pflbench.engine.evaluation import Metric
from pflbench.errors import InputError
from pflbench.expressions import format_scalar, parse_expression
from pflbench.federation import ClientArrays, DataRequest, Federation, Partitioner, Pool, build
from pflbench.method import Layout, LocalBudget, Sgd
from pflbench.parameters import Scalar, parameters_to_json, parse_parameters
from pflbench.runs.request import Numbers, RunRequest
from pflbench.scenario import Cell, Choice, Scenario
from pflbench.specs import AlgorithmSpec, DatasetSpec, Reference, resolve

IN_MEMORY = Reference(
    partition="as-is", clients=None, model="mlp", rounds=100, local_epochs=1, eval_every=10
)
"""The reference scenario of a federation made from arrays."""


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
    module, head
        The network, and the prefix of its classifier's parameters.
    device, engine
        Resolved.
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
    module: nn.Module
    head: str
    metrics: dict[str, Metric]
    device: torch.device
    engine: str
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
    spec = registry.get(registry.algorithms, request.algorithm)
    parameters: Any = parse_parameters(spec.parameters, request.parameters, owner=spec.name)
    device = choose_device(request.device)
    dataset, reference = _dataset(request, registry)
    numbers = _numbers(request, reference)
    partition, partitioner = _partition(request, reference, registry)
    model_text = request.model or reference.model
    model = parse_expression(model_text, kind="model")
    model_spec = registry.get(registry.models, model.name)
    model_parameters: Any = parse_parameters(
        model_spec.parameters, model.arguments, owner=model_spec.name
    )
    federation, notice = _federation(request, dataset, partition, partitioner, numbers)
    build_model = resolve(model_spec.build, owner=f"model {model_spec.name!r}")
    module: nn.Module = build_model(model_parameters, federation.input_shape, federation.classes)
    Layout.of(module, model_spec.head)
    engine = choose_engine(request.engine, module, device)
    written = dataset.name if dataset else "arrays"
    if isinstance(request.dataset, str):
        written = request.dataset
    chosen = {f.name: getattr(numbers, f.name) for f in dataclasses.fields(Numbers)}
    seed = chosen.pop("seed")
    scenario = Scenario(
        dataset=written,
        fingerprint=federation.fingerprint,
        partition=partition,
        model=Choice(model_spec.name, parameters_to_json(model_parameters)),
        **{**chosen, "clients": federation.clients},
    )
    algorithm = Choice(spec.name, parameters_to_json(parameters), spec.version)
    return PlannedRun(
        request=request,
        cell=Cell(scenario, algorithm, seed),
        spec=spec,
        parameters=parameters,
        federation=federation,
        module=module,
        head=model_spec.head,
        metrics={
            m.name: resolve(m.function, owner=f"metric {m.name!r}")
            for m in registry.metrics.specs()
        },
        device=device,
        engine=engine,
        notice=notice,
        dataset=written,
    )


def federate(
    request: RunRequest, registry: plugins.Registry | None = None
) -> tuple[Federation, str]:
    """Make the federation that a request's run would have, whatever its algorithm and model.

    Returns
    -------
    The federation, and the line that the user must see, or "".

    Raises
    ------
    InputError
        The data cannot be had, or the partition cannot be made.
    """
    registry = registry or plugins.installed()
    dataset, reference = _dataset(request, registry)
    numbers = _numbers(request, reference)
    partition, partitioner = _partition(request, reference, registry)
    return _federation(request, dataset, partition, partitioner, numbers)


def _dataset(
    request: RunRequest, registry: plugins.Registry
) -> tuple[DatasetSpec | None, Reference]:
    if isinstance(request.dataset, Federation):
        return None, IN_MEMORY
    name, colon, path = request.dataset.partition(":")
    spec = registry.get(registry.datasets, name)
    if spec.takes_path and not path:
        raise InputError(f"The data set {name} needs a path: {name}:PATH.")
    if colon and not spec.takes_path:
        raise InputError(f"The data set {name} takes no path: expected {name!r} alone.")
    return spec, spec.reference


def _numbers(request: RunRequest, reference: Reference) -> Numbers:
    """Fill in the reference's numbers and check the bounds of all."""
    if request.local_epochs is not None and request.local_steps is not None:
        raise InputError(
            "Local epochs and local steps are both given: expected one of them "
            "(--local-epochs or --local-steps)."
        )
    given: dict[str, Any] = {"seed": request.seed}
    own_budget = request.local_epochs is not None or request.local_steps is not None
    for field in dataclasses.fields(Numbers):
        if field.name == "seed":
            continue
        value = getattr(request, field.name)
        is_budget = field.name in ("local_epochs", "local_steps")
        if value is None and not (is_budget and own_budget):
            value = getattr(reference, field.name)
        given[field.name] = value
    return parse_parameters(Numbers, given, owner="run")


def _partition(
    request: RunRequest, reference: Reference, registry: plugins.Registry
) -> tuple[Choice, Partitioner | None]:
    if isinstance(request.dataset, Federation):
        if request.partition is not None:
            raise InputError(
                "A federation in memory is partitioned already: expected no partition."
            )
        return Choice("as-is", {}), None
    expression = parse_expression(request.partition or reference.partition, kind="partition")
    spec = registry.get(registry.partitioners, expression.name)
    parameters: Any = parse_parameters(spec.parameters, expression.arguments, owner=spec.name)
    make = resolve(spec.make, owner=f"partitioner {spec.name!r}")
    return Choice(spec.name, parameters_to_json(parameters)), make(parameters)


def _federation(
    request: RunRequest,
    dataset: DatasetSpec | None,
    partition: Choice,
    partitioner: Partitioner | None,
    numbers: Numbers,
) -> tuple[Federation, str]:
    if isinstance(request.dataset, Federation):
        federation = request.dataset
        if numbers.clients not in (None, federation.clients):
            raise InputError(
                f"The federation in memory has {federation.clients} clients, not {numbers.clients}."
            )
        return federation, ""
    assert dataset is not None  # anything but a federation in memory has a record
    _, _, path = request.dataset.partition(":")
    # A user's own files may change from one call to the next; the field's data sets do not.
    load = _load if path else _load_once
    data = load(dataset, Path(path) if path else None, request.data_dir, request.fallback)
    key = (id(data), str(partition), numbers.clients, numbers.seed)
    if key not in _built:
        _built.clear()  # the last federation only: a matrix asks for it once a method
        _built[key] = (data, build(data, partitioner, numbers.clients, numbers.seed))
    return _built[key][1], data.notice


_built: dict[tuple[int, str, int | None, int], tuple[Pool | ClientArrays, Federation]] = {}


def _load(
    spec: DatasetSpec, path: Path | None, data_dir: Path | None, fallback: bool
) -> Pool | ClientArrays:
    load = resolve(spec.load, owner=f"data set {spec.name!r}")
    data: Pool | ClientArrays = load(
        DataRequest(name=spec.name, path=path, data_dir=data_dir, fallback=fallback)
    )
    return data


_load_once = lru_cache(maxsize=2)(_load)


def command_for(cell: Cell, dataset: str) -> str:
    """Return the command that runs a cell again, every option written out."""
    s = cell.scenario
    words = ["pflbench", "run", "--algo", cell.algorithm.name, "--dataset", dataset]
    if s.partition.name != "as-is":
        words += ["--partition", _call(s.partition)]
    words += ["--clients", str(s.clients), "--model", _call(s.model), "--rounds", str(s.rounds)]
    if s.local_epochs is not None:
        words += ["--local-epochs", str(s.local_epochs)]
    else:
        words += ["--local-steps", str(s.local_steps)]
    for option in ("batch_size", "lr", "momentum", "weight_decay", "participation", "eval_every"):
        words += ["--" + option.replace("_", "-"), str(getattr(s, option))]
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
