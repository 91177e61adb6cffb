"""What a request resolves to, as far as its identity goes: no federation, no model is made.

A matrix of a thousand cells is looked up in a results folder by this alone.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pflbench.runs.data import IN_MEMORY, Wanted, wanted
from pflbench.runs.participation_plan import Participating, is_expression, participating
from pflbench.runs.relatedness_setup import named_plugins
from pflbench.runs.request import RunRequest, new_clients_of
from pflbench.schema import plugins
from pflbench.schema.expressions import Expression, format_scalar, list_item, parse_expression
from pflbench.schema.new_clients import NewClients
from pflbench.schema.parameters import parameters_of_identity, parse_parameters
from pflbench.schema.privacy import Gaussian, read_privacy
from pflbench.schema.realised import marked
from pflbench.schema.scenario import Cell, Choice, Scenario, without_path
from pflbench.schema.scenario_fields import scenario_fields, settled
from pflbench.schema.settings import Settings, parse_settings
from pflbench.schema.specs import AlgorithmSpec, ModelSpec


@dataclass(frozen=True, eq=False)
class Named:
    """A request whose names and texts are read and checked; its data is not looked at yet.

    Attributes
    ----------
    request
        What was asked for.
    spec, settings
        The method.
    settled
        Checked, by name.
    privacy
        Resolved; None for uploads that nothing is done to.
    """

    request: RunRequest
    spec: AlgorithmSpec
    settings: Settings
    settled: Mapping[str, Any]
    privacy: tuple[Choice, Gaussian] | None


@dataclass(frozen=True, eq=False)
class Identified:
    """A request's run by its identity, and what it was resolved from.

    Attributes
    ----------
    cell
        Everything that decides the numbers.
    named, wanted
        The request read, and its data before a federation is made of it.
    model, model_parameters
        The architecture.
    participating
        Who takes part in the rounds, once there is a federation.
    new_clients
        Clients that are held out; None if there are none.
    """

    cell: Cell
    named: Named
    wanted: Wanted
    model: ModelSpec
    model_parameters: Any
    participating: Participating
    new_clients: NewClients | None

    @property
    def dataset(self) -> str:
        """The data set as written."""
        return self.wanted.written

    @property
    def notice(self) -> str:
        """One line that the user must see, or ""."""
        return " ".join(filter(None, (self.wanted.notice, self.wanted.remark)))


def identify(request: RunRequest, registry: plugins.Registry | None = None) -> Identified:
    """Resolve a request to its cell.

    Raises
    ------
    InputError
        Something about it cannot be as asked; that its federation can be made is not known yet.
    """
    registry = registry or plugins.installed()
    return with_data(named(request, registry), registry)


def named(request: RunRequest, registry: plugins.Registry) -> Named:
    """Read and check what a request says of everything but its data."""
    spec = registry.get(registry.algorithms, request.algorithm)
    settings = parse_settings(spec, request.parameters)
    named_plugins(settings.parameters, registry)
    privacy = None if request.privacy is None else read_privacy(request.privacy)
    return Named(request, spec, settings, settled(request), privacy)


def with_data(named: Named, registry: plugins.Registry) -> Identified:
    """Load the data of a request, and resolve what depends on it."""
    request = named.request
    if request.model is not None:  # before any data is loaded
        _model(request.model, registry)
    if is_expression(request.participation):
        participating(str(request.participation), registry)
    new_clients_of(request)
    want = wanted(request, registry)
    model, model_parameters = _model(want.model, registry)
    chosen = {f.name: getattr(want.numbers, f.name) for f in dataclasses.fields(want.numbers)}
    seed = chosen.pop("seed")
    new = new_clients_of(request, want.numbers.rounds)
    number: float = chosen.pop("participation")
    asked = request.participation if is_expression(request.participation) else number
    part = participating(str(asked), registry)
    taking_part = part.choice
    if isinstance(taking_part, Choice):
        rule = registry.get(registry.participations, taking_part.name).parameters
        there = want.clients - (0 if new is None else new.count(want.clients))
        taking_part = marked(taking_part, rule, there)
    scenario = Scenario(
        dataset=want.written,
        fingerprint=want.fingerprint,
        partition=want.partition,
        model=Choice(model.name, parameters_of_identity(model_parameters), model.version),
        participation=taking_part,
        privacy=None if named.privacy is None else named.privacy[0],
        population=None if want.population is None else want.population[0],
        new_clients=new,
        **named.settled,
        **{**chosen, "clients": want.clients},
    )
    algorithm = Choice(named.spec.name, named.settings.of_identity(scenario.lr), named.spec.version)
    cell = Cell(scenario, algorithm, seed)
    return Identified(cell, named, want, model, model_parameters, part, new)


def _model(text: str, registry: plugins.Registry) -> tuple[ModelSpec, Any]:
    expression = parse_expression(text, kind="model")
    spec = registry.get(registry.models, expression.name)
    parameters: Any = parse_parameters(spec.parameters, expression.arguments, owner=spec.name)
    return spec, parameters


def command_for(cell: Cell, dataset: str) -> str:
    """Return the command that runs a cell again, every option written out.

    Where data and results lie on a machine is not in it: that is for whoever calls it. A
    federation in memory has none: the text is empty then.
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


def population_label(population: Choice | None) -> dict[str, str]:
    """Return the label that keeps a path in a population, which its identity leaves out."""
    if population is None or without_path(population) == population:
        return {}
    return {"population": str(Expression(population.name, population.parameters))}
