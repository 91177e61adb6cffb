"""From the options of `pflbench run` to the cells of its matrix, checked as far as names go."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pflbench.cli.names import listed, read_seeds, read_settings
from pflbench.errors import InputError, UnknownNameError
from pflbench.expressions import Expression, parse_expression
from pflbench.parameters import parse_parameters
from pflbench.plugins import Registry, Shelf, installed
from pflbench.privacy import read_privacy
from pflbench.settings import parse_settings

if TYPE_CHECKING:
    from pflbench.runs import RunRequest


def make_requests(
    *,
    algorithms: Sequence[str],
    datasets: Sequence[str],
    partitions: Sequence[str],
    seeds: Sequence[str],
    settings: Sequence[str],
    model: str | None,
    population: str | None = None,
    **common: Any,
) -> list[RunRequest]:
    """Return one request a cell: data sets, then partitions, then seeds, then algorithms.

    Cells of one federation follow each other, so that it is made once.

    Raises
    ------
    InputError
        An unknown name, a parameter that is not valid, two options that exclude each other.
        Nothing heavy was imported by then.
    """
    if common["local_epochs"] is not None and common["local_steps"] is not None:
        raise InputError("--local-epochs and --local-steps exclude each other: give one of them.")
    registry = installed()
    methods = list(_methods(registry, algorithms, read_settings(settings)))
    numbers = read_seeds(seeds)
    data = listed(datasets)
    if not (methods and numbers and data):
        empty = "--algo" if not methods else "--dataset" if not data else "--seed"
        raise InputError(f"{empty} is empty: expected at least one.")
    for text in data:
        registry.get(registry.datasets, text.partition(":")[0])
    kinds = listed(partitions)
    for text in kinds:
        _check(registry, registry.partitioners, text, "dirichlet(alpha=0.1)")
    if model is not None:
        _check(registry, registry.models, model, "mlp(hidden=64)")
    if isinstance(common["participation"], str):
        _check(registry, registry.participations, common["participation"], "dropout(p=0.2)")
    if common.get("privacy") is not None:
        read_privacy(common["privacy"])
    if population is not None:
        _check(registry, registry.populations, population, "permuted-labels(share=0.25)")

    from pflbench.runs import RunRequest

    choices: list[str | None] = [*kinds] or [None]
    return [
        RunRequest(
            algorithm=method.name, parameters=method.arguments, dataset=dataset,
            partition=partition, population=population, seed=seed, model=model, **common,
        )
        for dataset, partition, seed, method in itertools.product(
            data, choices, numbers, methods
        )
    ]  # fmt: skip


def _methods(
    registry: Registry, texts: Sequence[str], settings: Mapping[str, Mapping[str, str]]
) -> Iterator[Expression]:
    """Yield the algorithms, each with its parameters from `name(...)` and from `--set`."""
    chosen = [parse_expression(text, kind="algorithm") for text in listed(texts)]
    names = {method.name for method in chosen}
    for method in chosen:
        registry.get(registry.algorithms, method.name)
    for name in settings:
        if name not in registry.algorithms.entries:
            raise UnknownNameError("algorithm", name, registry.algorithms.entries)
        if name not in names:
            raise InputError(
                f"--set {name}.{next(iter(settings[name]))}: {name} is not among the algorithms "
                f"of this command ({', '.join(sorted(names))})."
            )
    for method in chosen:
        twice = sorted(set(method.arguments) & set(settings.get(method.name, {})))
        if twice:
            raise InputError(f"{method.name}.{twice[0]} is given both in --algo and with --set.")
        arguments = {**method.arguments, **settings.get(method.name, {})}
        spec = registry.get(registry.algorithms, method.name)
        parse_settings(spec, arguments)
        yield Expression(method.name, arguments)


def _check(registry: Registry, shelf: Shelf[Any], text: str, example: str) -> None:
    expression = parse_expression(text, kind=shelf.kind, example=example)
    spec = registry.get(shelf, expression.name)
    parse_parameters(spec.parameters, expression.arguments, owner=expression.name)
