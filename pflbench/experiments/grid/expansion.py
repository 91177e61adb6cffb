"""From tables with lists in them to scenarios and methods: every combination."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pflbench.errors import InputError
from pflbench.experiments.grid.keys import (
    FIELDS,
    KEYS,
    RIVALS,
    at,
    check_scenario,
    known_key,
    read_value,
)
from pflbench.experiments.grid.keys import scalar as scalar_text
from pflbench.schema.expressions import Expression, parse_expression
from pflbench.schema.plugins import Registry
from pflbench.schema.settings import parse_settings

Place = Callable[[int], str]
"""Returns the name of a numbered table in messages, counted from 1."""


def scenarios_of(
    shared: Mapping[str, Any],
    tables: Sequence[Mapping[str, Any]],
    registry: Registry,
    *,
    shared_place: str = "",
    place: Place = lambda _: "",
) -> tuple[dict[str, Any], ...]:
    """Return the scenarios of tables, checked, each once.

    Parameters
    ----------
    shared
        Settings of every table that does not override them.
    tables
        Key to value, or to a list of values; none for `shared` alone.

    Raises
    ------
    InputError
        An unknown key, a value that is not valid, a table without a data set.
    """
    with at(shared_place):
        common = choices_of(shared)
    found: dict[tuple[tuple[str, Any], ...], dict[str, Any]] = {}
    for number, table in enumerate(tables or [{}], start=1):
        with at(place(number) if tables else shared_place):
            own = choices_of(table)
            said = {k: v for k, v in common.items() if RIVALS.get(k) not in own} | own
            if "dataset" not in said:
                raise InputError("dataset is missing: expected one, or a list of several.")
            for scenario in combinations({key: said[key] for key in KEYS if key in said}):
                check_scenario(scenario, registry)
                found.setdefault(tuple(scenario.items()), scenario)
    return tuple(found.values())


def combinations(choices: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield every choice of one value a key; the last key changes fastest."""
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def choices_of(table: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values that a table of scenarios has for each of its keys.

    Raises
    ------
    InputError
        An unknown key, or a value that is not valid.
    """
    found: dict[str, list[Any]] = {}
    for written, value in table.items():
        key = known_key(written, KEYS)
        if key in found:
            raise InputError(f"{key} is given twice, once with a hyphen: give it once.")
        found[key] = values_of(key, value)
    if len(RIVALS.keys() & found.keys()) == len(RIVALS):
        raise InputError("local_epochs and local_steps exclude each other: give one of them.")
    return found


def values_of(key: str, value: Any) -> list[Any]:
    """Return a key's values: one, or a list's values.

    Raises
    ------
    InputError
        One is not valid, or the list is empty.
    """
    return [read_value(key, text) for text in texts_of(key, value)]


def texts_of(key: str, value: Any) -> list[str]:
    """Return a key's values as texts, each once."""
    several = value if isinstance(value, list | tuple) else [value]
    if _is_list(key) and not any(isinstance(item, list | tuple) for item in several):
        several = [several]
    if not several:
        raise InputError(f"{key} is empty: expected at least one value.")
    with at(key):
        texts = [_joined(item) if _is_list(key) else scalar_text(item) for item in several]
    return list(dict.fromkeys(texts))


def _is_list(key: str) -> bool:
    """Whether a value of a key is a list: then a list of lists is several values."""
    return key in FIELDS and FIELDS[key].sequence


def _joined(value: Any) -> str:
    parts = value if isinstance(value, list | tuple) else [value]
    return ",".join(map(scalar_text, parts))


def methods_of(entries: Iterable[Any], registry: Registry) -> tuple[Expression, ...]:
    """Return the methods that a list names, checked, each once.

    Parameters
    ----------
    entries
        Expressions, as texts or read, and tables of `name` and parameters, whose values may be
        lists.

    Raises
    ------
    InputError
        The method does not exist, or a parameter is not valid.
    """
    found: dict[str, Expression] = {}
    for entry in entries:
        for method in _methods(entry):
            spec = registry.get(registry.algorithms, method.name)
            parse_settings(spec, method.arguments)
            found.setdefault(str(method), method)
    return tuple(found.values())


def _methods(entry: Any) -> Iterator[Expression]:
    if isinstance(entry, Expression):
        yield entry
    elif isinstance(entry, str):
        yield parse_expression(entry, kind="algorithm", example="fedprox(mu=0.1)")
    elif isinstance(entry, Mapping) and "name" in entry:
        choices = {key: texts_of(key, value) for key, value in entry.items()}
        for chosen in combinations(choices):
            yield Expression(chosen.pop("name"), chosen)
    else:
        raise InputError(
            f"{entry!r} is not a method: expected a name, an expression such as "
            '"fedprox(mu=0.1)", or a table such as { name = "fedprox", mu = [0.1, 1.0] }.'
        )
