"""The identity of a request: no federation and no model is made.

This is enough to look up a matrix of a thousand cells in a results folder.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pflbench.errors import InputError
from pflbench.extras import present
from pflbench.federation import Census, Participation
from pflbench.runs.data import IN_MEMORY, resolve_data
from pflbench.runs.model_files import read_choices
from pflbench.runs.request import RunRequest
from pflbench.runs.resolved_data import PROCESS, DataCache, ResolvedData
from pflbench.runs.warm_start import first_weights
from pflbench.schema import plugins
from pflbench.schema.expressions import Expression, format_scalar, list_item
from pflbench.schema.plugin_choice import Chosen, choose_field
from pflbench.schema.privacy import Gaussian, read_privacy
from pflbench.schema.realised import marked
from pflbench.schema.scenario import Cell, Choice, FirstWeights, Scenario, without_path
from pflbench.schema.scenario_fields import scenario_fields, settled
from pflbench.schema.settings import Settings, parse_settings
from pflbench.schema.specs import AlgorithmSpec

SGD: Final = "sgd"
"""The optimizer of runs that name none."""

PLAIN: Final = "uniform"
"""The participation of a plain number; identities contain the number."""


@dataclass(frozen=True, eq=False)
class Read:
    """A request whose names and texts are read and checked; its data is not loaded yet.

    Attributes
    ----------
    request
        The request.
    registry
        Where its names were looked up.
    spec, settings
        The method.
    settled
        Checked, by name.
    chosen
        Plugins named by texts, by field, without the data set's defaults.
    privacy, privacy_choice
        The protection of all uploads, and its form in an identity; None for none.
    init
        The network's first weights; None for those that it is built with.
    """

    request: RunRequest
    registry: plugins.Registry
    spec: AlgorithmSpec
    settings: Settings
    settled: Mapping[str, Any]
    chosen: Mapping[str, Chosen]
    privacy: Gaussian | None
    privacy_choice: Choice | None
    init: FirstWeights | None


@dataclass(frozen=True, eq=False)
class Identified(Read):
    """A request's run by its identity, and the resolved parts.

    Attributes
    ----------
    cell
        Everything that decides the numbers.
    data
        The data, before a federation is made of it.
    model
        The architecture.
    attendance
        Makes the participation, once the federation exists.
    """

    cell: Cell
    data: ResolvedData
    model: Chosen
    attendance: Callable[[Census], Participation]

    @property
    def dataset(self) -> str:
        """The data set as written."""
        return self.data.written

    @property
    def said_of_data(self) -> str:
        """One line that the user must see, or ""."""
        return " ".join(filter(None, (self.data.notice, self.data.remark)))


def identify(
    request: RunRequest, registry: plugins.Registry | None = None, cache: DataCache = PROCESS
) -> Identified:
    """Resolve a request to its cell.

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
        It is not valid; whether its federation can be made is not known yet.
    """
    return with_data(read(request, registry or plugins.installed()), cache)


def read(request: RunRequest, registry: plugins.Registry) -> Read:
    """Read and check a request, except its data."""
    spec = registry.get(registry.algorithms, request.algorithm)
    settings = parse_settings(spec, request.parameters, registry)
    mechanism, privacy = (None, None) if request.privacy is None else read_privacy(request.privacy)
    for metric in request.metrics:
        registry.get(registry.metrics, metric)
    for observer in request.observers:
        package = registry.get(registry.observers, observer).package
        if package:
            present(package, f"The observer {observer}")
    chosen = read_choices(request, registry)
    if "participation" in chosen:
        chosen["participation"].maker()  # import errors are raised before data is loaded
    init = None if request.init is None else first_weights(request.init)
    return Read(
        request, registry, spec, settings, settled(request), chosen, privacy, mechanism, init
    )


def with_data(read: Read, cache: DataCache) -> Identified:
    """Load the data of a request, and resolve everything that depends on it."""
    request, chosen = read.request, read.chosen
    data = resolve_data(request, read.registry, chosen, cache)
    model = chosen.get("model") or choose_field("model", data.model, read.registry)
    numbers, clients, new = dataclasses.asdict(data.numbers), data.clients, data.new_clients
    seed, participation = numbers.pop("seed"), numbers.pop("participation")
    attendance: Callable[[Census], Participation] = partial(Participation.uniform, participation)
    if "participation" in chosen:
        rule = chosen["participation"]
        attendance = rule.maker()
        there = clients - (0 if new is None else new.count(clients))
        participation = marked(rule.choice, type(rule.parameters), there)
        if rule.spec.name == PLAIN:
            participation = rule.parameters.fraction
    optimizer = _optimizer(request, chosen, numbers)
    scenario = Scenario(
        dataset=data.written,
        fingerprint=data.fingerprint,
        partition=data.partition,
        model=model.choice,
        participation=participation,
        privacy=read.privacy_choice,
        population=None if data.population is None else data.population[0],
        new_clients=new,
        optimizer=optimizer,
        schedule=_off_default(chosen.get("schedule"), "constant"),
        init=read.init,
        **read.settled,
        **{**numbers, "clients": clients},
    )
    settings, spec = read.settings, read.spec
    algorithm = Choice(spec.name, settings.of_identity(scenario.lr), settings.version(spec))
    cell = Cell(scenario, algorithm, seed)
    return Identified(**vars(read), cell=cell, data=data, model=model, attendance=attendance)


def _optimizer(
    request: RunRequest, chosen: Mapping[str, Chosen], numbers: dict[str, Any]
) -> Choice | None:
    """Return the optimizer as an identity has it, and settle its rate and momentum in `numbers`.

    Raises
    ------
    InputError
        Momentum is given for an optimizer that does not use the scenario's.
    """
    optimizer = chosen.get("optimizer")
    if optimizer is None:
        return None
    if optimizer.spec.name != SGD:
        if request.momentum:
            raise InputError(
                f"momentum = {request.momentum:g} is SGD's, and the optimizer is "
                f"{optimizer.spec.name!r}: expected no momentum, or one of its own parameters "
                f"(pflbench show {optimizer.spec.name})."
            )
        numbers["momentum"] = 0.0
    if request.lr is None and optimizer.spec.lr is not None:
        numbers["lr"] = optimizer.spec.lr
    return _off_default(optimizer, SGD)


def _off_default(chosen: Chosen | None, name: str) -> Choice | None:
    """Return a choice, or None if it is what runs without one are."""
    if chosen is None:
        return None
    plain = chosen.spec.name == name and chosen.parameters == type(chosen.parameters)()
    return None if plain else chosen.choice


def command_for(cell: Cell, dataset: str) -> str:
    """Return the command that runs a cell again, every option written out.

    It has no paths of data and results on a machine: the caller adds these. A federation in memory
    has no command: the text is then empty.
    """
    if cell.scenario.partition.name == IN_MEMORY.partition:
        return ""
    words = ["pflbench", "run", "--algo", cell.algorithm.name]
    for name, value in {**cell.scenario.asked(), "dataset": list_item(dataset)}.items():
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [scenario_fields()[name].option, text]
    for name, value in cell.algorithm.parameters.items():
        words += ["--set", f"{cell.algorithm.name}.{name}={format_scalar(value)}"]
    words += ["--seed", str(cell.seed)]
    return shlex.join(words)


def path_labels(scenario: Scenario) -> dict[str, str]:
    """Return the labels that keep paths in a scenario, which its identity leaves out."""
    labels = {}
    choices = {"partition": scenario.partition, "population": scenario.population}
    for name, choice in choices.items():
        if choice is not None and without_path(choice) != choice:
            labels[name] = str(Expression(choice.name, choice.parameters))
    if scenario.init is not None:
        labels["init"] = scenario.init.path
    return labels
