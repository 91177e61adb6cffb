"""The numbers of clients behind a scenario's shares, for boards and for identities."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from pflbench.errors import InputError
from pflbench.schema.expressions import Expression
from pflbench.schema.parameters import ParameterInfo, Scalar, describe_parameters
from pflbench.schema.plugins import Registry, Shelf, installed
from pflbench.schema.scenario import Choice, Scenario
from pflbench.schema.scenario_fields import SettledFields
from pflbench.schema.shares import MARK, ShareOf, count_of


def marked(choice: Choice, parameters: type, clients: int) -> Choice:
    """Return a choice as it is in an identity.

    If a share of it gives a different number than under the earlier rules, its version says so: a
    run under an earlier rule is a different run.
    """
    for of, share, whole in _shares(choice, parameters, clients):
        if of.count(share, whole) != of.count_before(share, whole):
            return dataclasses.replace(choice, version=f"{choice.version} {MARK}".strip())
    return choice


def in_numbers(choice: Choice, kind: str, clients: int, registry: Registry | None = None) -> str:
    """Say how many the shares in a choice are: " (share: 1 of 10 clients)"; "" if it has none.

    Parameters
    ----------
    choice
        Of a run, which may be older than the common rule.
    kind
        The registry's shelf that has it: "populations".
    clients
        Of how many.
    registry
        Where the plugin is looked up; None for the installed plugins.
    """
    registry = registry or installed()
    shelf = getattr(registry, kind)
    parameters = _parameters(registry, shelf, choice.name)
    if parameters is None:
        return ""
    now = marked(choice, parameters, clients) == choice or MARK in choice.version
    words = []
    for info, of, share, whole in _described(choice, parameters, clients):
        if 0 < share < 1:
            count = of.count(share, whole) if now else of.count_before(share, whole)
            when = f" {of.when}" if of.when else ""
            words.append(f"{info.name}: {count:,} of {whole:,} {of.noun}{when}")
    return f" ({'; '.join(words)})" if words else ""


def attendance(scenario: Scenario, registry: Registry | None = None) -> list[str]:
    """Say how many clients take part in the rounds and how many join later; nothing if all do."""
    words, said = [], scenario.participation
    number = participation_in_numbers(scenario, registry)
    if isinstance(said, Choice):
        words.append(written(said) + number)
    elif said < 1:
        words.append(f"participation {said:g}{number}")
    if scenario.new_clients is not None:
        share = scenario.new_clients.share
        words.append(f"new clients {share:g}{new_clients_in_numbers(scenario)}")
    return words


def off_default(scenario: Scenario) -> list[str]:
    """Name the settled fields that are off their default: nothing an identity has is silent."""
    return [
        str(value) if field.name == "precision" else f"{field.name.replace('_', ' ')} {value}"
        for field in dataclasses.fields(SettledFields)
        if (value := getattr(scenario, field.name)) != field.default
    ]


def written(choice: Choice) -> str:
    """Write a choice as on a command line, without unset parameters, whole numbers without ".0"."""
    return short(choice.name, {k: v for k, v in choice.parameters.items() if v is not None})


def short(name: str, arguments: Mapping[str, Scalar]) -> str:
    """Write a name and its arguments as on a command line, whole numbers without a point."""
    given = {
        key: int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e15
        else value
        for key, value in arguments.items()
    }
    return str(Expression(name, given))


def participants(scenario: Scenario) -> int:
    """Return the number of clients in the rounds: those that are not held out."""
    new = scenario.new_clients
    return scenario.clients - (0 if new is None else new.count(scenario.clients))


def population_in_numbers(scenario: Scenario, registry: Registry | None = None) -> str:
    """Say how many clients a scenario's population makes different from the others."""
    if scenario.population is None:
        return ""
    return in_numbers(scenario.population, "populations", scenario.clients, registry)


def participation_in_numbers(scenario: Scenario, registry: Registry | None = None) -> str:
    """Say how many clients take part in a round, or are affected by its rule."""
    clients = participants(scenario)
    if isinstance(scenario.participation, Choice):
        return in_numbers(scenario.participation, "participations", clients, registry)
    if scenario.participation >= 1:
        return ""
    return f" ({count_of(scenario.participation, clients):,} of {clients:,})"


def new_clients_in_numbers(scenario: Scenario) -> str:
    """Say how many clients are held out."""
    if scenario.new_clients is None:
        return ""
    held = scenario.new_clients.count(scenario.clients)
    return f" ({held:,} of {scenario.clients:,})"


def _parameters(registry: Registry, shelf: Shelf[Any], name: str) -> type | None:
    try:
        spec = registry.get(shelf, name)
    except InputError:  # runs outlive plugins
        return None
    found: type | None = getattr(spec, "parameters", None)
    return found


def _described(
    choice: Choice, parameters: type, clients: int
) -> Iterator[tuple[ParameterInfo, ShareOf, float, int]]:
    """Yield a choice's shares, each with its whole."""
    for info in describe_parameters(parameters):
        share = choice.parameters.get(info.name)
        if info.share_of is None or not isinstance(share, int | float):
            continue
        of = info.share_of
        whole = clients if of.whole == "clients" else choice.parameters.get(of.whole)
        if isinstance(whole, int) and whole > 0:
            yield info, of, share, whole


def _shares(choice: Choice, parameters: type, clients: int) -> Iterator[tuple[ShareOf, float, int]]:
    for _, of, share, whole in _described(choice, parameters, clients):
        yield of, share, whole
