"""Keys of a scenario table: the scenario options of `pflbench run`, and their bounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from pflbench.errors import InputError, UnknownNameError
from pflbench.schema import new_clients
from pflbench.schema.expressions import Expression, format_scalar, is_model_file, parse_expression
from pflbench.schema.numbers import number_of, plain_value
from pflbench.schema.parameters import parse_parameters
from pflbench.schema.paths import path_of
from pflbench.schema.plugin_choice import choose
from pflbench.schema.plugins import Registry
from pflbench.schema.privacy import read_privacy
from pflbench.schema.scenario_fields import ScenarioRequest, scenario_fields

FIELDS = scenario_fields()

KEYS = tuple(FIELDS)
RIVALS = {field.name: field.rival for field in FIELDS.values() if field.rival}


@contextmanager
def at(place: str) -> Iterator[None]:
    """Put a place before the sentence of an `InputError` of the body; nothing if it is ""."""
    try:
        yield
    except InputError as error:
        if not place:
            raise
        raise InputError(f"{place}: {error}") from error


def scalar(value: Any) -> str:
    """Write a value as on a command line.

    Raises
    ------
    InputError
        It is a date, a list or a table.
    """
    plain = plain_value(value)
    if isinstance(plain, str | bool | int | float):
        return format_scalar(plain)
    number = number_of(plain)
    if number is None:
        raise InputError(f"{value!r} is not valid: expected a text, a number, true or false.")
    return format_scalar(number)


def known_key(written: str, known: Iterable[str]) -> str:
    """Return a key by its name in the code, in which hyphens are underscores.

    Raises
    ------
    UnknownNameError
        The key does not exist.
    """
    names = list(known)
    key = written.replace("-", "_")
    if key not in names:
        raise UnknownNameError("key", written, names)
    return key


@lru_cache(maxsize=4096)  # a matrix says the same of many cells
def read_value(key: str, text: str) -> Any:
    """Return the value of a key, converted and within its bounds; expressions stay texts.

    Raises
    ------
    InputError
        It is not valid.
    """
    given: dict[str, Any] = {"dataset": "", key: text}
    field = FIELDS[key]
    field.check_choice(text)
    if field.type != "float or str":
        value = getattr(parse_parameters(ScenarioRequest, given, owner="scenario"), key)
        if value is None:  # "none" means that a key is left out
            raise InputError(
                f"{key} {text!r} is not valid: leave it out for the reference scenario's."
            )
        return value
    number = number_of(text)
    if number is None:
        return text
    if not field.within(number):
        raise InputError(
            f"scenario.{key} = {text!r} is not valid: expected a number {field.bounds}."
        )
    return float(number)


def check_scenario(scenario: Mapping[str, Any], registry: Registry) -> None:
    """Check a scenario as far as names and bounds go; no data is loaded.

    Raises
    ------
    InputError
        Something about it cannot be.
    """
    name, _, path = str(scenario["dataset"]).partition(":")
    registry.get(registry.datasets, name)
    if path:
        path_of(path, f"{name}:PATH")
    for key, field in FIELDS.items():
        if isinstance(text := scenario.get(key), str):
            if field.is_expression:
                resolve_key(key, text, registry)
            field.check_choice(text)
    new_clients.check(
        scenario.get("new_clients"),
        rounds=scenario.get("rounds"),
        onboard_at=scenario.get("onboard_at"),
        shots=scenario.get("shots"),
        steps=scenario.get("onboarding_steps"),
    )


@lru_cache(maxsize=4096)
def resolve_key(key: str, text: str, registry: Registry, base: str = "") -> tuple[str, Any]:
    """Return the name and the parameters of an expression.

    Parameters
    ----------
    key
        Its key in a scenario, such as "partition".
    text
        The expression.
    base
        An expression of the same name, whose arguments apply if `text` gives none; else the
        defaults apply.

    Raises
    ------
    InputError
        The plugin does not exist, or a parameter is not valid.
    """
    if key == "model" and is_model_file(text):
        from pflbench.runs.model_files import model_of_file  # slow to import

        return text, model_of_file(text).choice
    below = parse_expression(base, kind=key).arguments if base else {}
    field = FIELDS[key]
    if key == "privacy":
        given = parse_expression(text, kind="privacy mechanism", example=field.example)
        return given.name, read_privacy(str(Expression(given.name, {**below, **given.arguments})))
    shelf = getattr(registry, field.shelf)
    found = choose(text, shelf, registry, example=field.example, below=below)
    return found.spec.name, found.parameters
