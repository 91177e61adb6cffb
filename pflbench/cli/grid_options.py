"""From the options of a command line to the matrix that they describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pflbench.cli.option_types import listed, read_seeds, read_settings
from pflbench.errors import InputError
from pflbench.experiments.grid import Matrix
from pflbench.experiments.grid.expansion import methods_of, scenarios_of
from pflbench.schema.expressions import Expression, parse_expression
from pflbench.schema.plugins import Registry, installed
from pflbench.schema.scenario_fields import scenario_fields


def make_matrix(
    *, algorithms: Sequence[str], seeds: Sequence[str], settings: Sequence[str], **scenario: Any
) -> Matrix:
    """Return the matrix of these lists and of the scenario's values by the fields' names.

    Raises
    ------
    InputError
        An unknown name, a parameter that is not valid, two options that exclude each other.
        Nothing heavy was imported by then.
    """
    if scenario["local_epochs"] is not None and scenario["local_steps"] is not None:
        raise InputError("--local-epochs and --local-steps exclude each other: give one of them.")
    registry = installed()
    methods = methods_of(_methods(registry, algorithms, read_settings(settings)), registry)
    numbers = read_seeds(seeds)
    said = {key: value for key, value in scenario.items() if value is not None}
    for field in scenario_fields().values():
        if field.several and not said.get(field.name):
            said.pop(field.name, None)
        elif field.several:
            said[field.name] = listed(said[field.name])
    if not (methods and numbers and said.get("dataset")):
        empty = "--algo" if not methods else "--seed" if said.get("dataset") else "--dataset"
        raise InputError(f"{empty} is empty: expected at least one.")
    return Matrix(methods=methods, seeds=tuple(numbers), scenarios=scenarios_of(said, [], registry))


def _methods(
    registry: Registry, texts: Sequence[str], settings: Mapping[str, Mapping[str, str]]
) -> Iterator[Expression]:
    """Yield the algorithms, each with its parameters from `name(...)` and from `--set`."""
    example = "fedprox(mu=0.1)"
    chosen = [parse_expression(text, kind="algorithm", example=example) for text in listed(texts)]
    names = {method.name for method in chosen}
    for method in chosen:
        registry.get(registry.algorithms, method.name)
    for name in settings:
        registry.get(registry.algorithms, name)
        if name not in names:
            raise InputError(
                f"--set {name}.{next(iter(settings[name]))}: {name} is not among the algorithms "
                f"of this command ({', '.join(sorted(names))})."
            )
    for method in chosen:
        twice = sorted(set(method.arguments) & set(settings.get(method.name, {})))
        if twice:
            raise InputError(f"{method.name}.{twice[0]} is given both in --algo and with --set.")
        yield Expression(method.name, {**method.arguments, **settings.get(method.name, {})})
