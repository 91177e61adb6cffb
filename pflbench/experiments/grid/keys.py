"""What a scenario of a matrix may say: the scenario options of `pflbench run`, and their bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pflbench.errors import InputError, UnknownNameError
from pflbench.schema import new_clients
from pflbench.schema.expressions import Expression, format_scalar, parse_expression
from pflbench.schema.numbers import number_of, plain_value
from pflbench.schema.parameters import param, parse_parameters, required
from pflbench.schema.paths import path_of
from pflbench.schema.plugins import Registry, Shelf
from pflbench.schema.privacy import read_privacy
from pflbench.schema.scenario import check_precision


@dataclass(frozen=True)
class ScenarioKeys:
    """A scenario as asked for; None stands for the data set's reference scenario."""

    dataset: str = required("data set: a name, or name:PATH")
    partition: str | None = param(None, "how the data is dealt out to clients")
    clients: int | None = param(None, "number of clients", ge=1)
    population: str | None = param(None, "clients unlike the others")
    model: str | None = param(None, "network architecture")
    rounds: int | None = param(None, "communication rounds", ge=1)
    local_epochs: int | None = param(
        None, "local training of a round in passes over a client's samples, or", ge=1
    )
    local_steps: int | None = param(None, "in steps of one batch each; one of the two", ge=1)
    batch_size: int | None = param(None, "samples in a local step", ge=1)
    lr: float | None = param(None, "learning rate of local SGD", gt=0)
    momentum: float | None = param(None, "momentum of local SGD", ge=0, lt=1)
    weight_decay: float | None = param(None, "weight decay of local SGD", ge=0)
    participation: float | str | None = param(
        None, "share of the clients in a round, or a rule", gt=0, le=1
    )
    eval_every: int | None = param(None, "rounds between evaluations", ge=1)
    precision: str | None = param(None, "what is computed with")
    privacy: str | None = param(None, "clipping and noise on all that clients upload")
    new_clients: float | None = param(
        None, "share of the clients that are held out and join later", ge=0, lt=1
    )
    onboard_at: str | None = param(None, "rounds after which they join, besides the last")
    shots: str | None = param(None, "labelled samples of each class that they join with")
    onboarding_steps: int | None = param(None, "local steps that each of them may do", ge=1)


KEYS = tuple(field.name for field in dataclasses.fields(ScenarioKeys))

FEDERATION = ("dataset", "partition", "clients", "population")
"""Keys that decide, with the seed, what federation a cell has."""

LISTS = frozenset({"onboard_at", "shots"})
"""Keys whose value is a list by itself: a list of lists is several values."""

RIVALS = {"local_epochs": "local_steps", "local_steps": "local_epochs"}

EXPRESSIONS = {
    "partition": ("partitioners", "dirichlet(alpha=0.1)"),
    "population": ("populations", "permuted-labels(share=0.25)"),
    "model": ("models", "mlp(hidden=64)"),
    "participation": ("participations", "dropout(p=0.2)"),
}
"""Keys that name a plugin: its shelf, and an example."""


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
        There is no such key.
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
    if key != "participation":
        value = getattr(parse_parameters(ScenarioKeys, given, owner="scenario"), key)
        if value is None:  # "none" is what a key that is left out says
            raise InputError(
                f"{key} {text!r} is not valid: leave it out for the reference scenario's."
            )
        return value
    number = number_of(text)
    if number is None:
        return text
    if not 0 < number <= 1:
        raise InputError(
            f"scenario.participation = {text!r} is not valid: expected a number > 0 and ≤ 1."
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
    for key in ("partition", "model", "participation", "privacy", "population"):
        if isinstance(text := scenario.get(key), str):
            resolve_key(key, text, registry)
    if scenario.get("precision") is not None:
        check_precision(scenario["precision"])
    new_clients.check(
        scenario.get("new_clients"),
        rounds=scenario.get("rounds"),
        onboard_at=scenario.get("onboard_at"),
        shots=scenario.get("shots"),
        steps=scenario.get("onboarding_steps"),
    )


@lru_cache(maxsize=4096)
def resolve_key(key: str, text: str, registry: Registry, base: str = "") -> tuple[str, Any]:
    """Return the name and the parameters that an expression stands for.

    Parameters
    ----------
    key
        What it is of a scenario, such as "partition".
    text
        The expression.
    base
        An expression of the same name, whose arguments hold where `text` gives none; else
        the defaults do.

    Raises
    ------
    InputError
        There is no such plugin, or a parameter is not valid.
    """
    below = parse_expression(base, kind=key).arguments if base else {}
    if key == "privacy":
        given = parse_expression(
            text, kind="privacy mechanism", example="gaussian(clip=1, noise=1)"
        )
        return given.name, read_privacy(str(Expression(given.name, {**below, **given.arguments})))
    shelf_name, example = EXPRESSIONS[key]
    shelf: Shelf[Any] = getattr(registry, shelf_name)
    given = parse_expression(text, kind=shelf.kind, example=example)
    spec = registry.get(shelf, given.name)
    arguments = {**below, **given.arguments}
    return spec.name, parse_parameters(spec.parameters, arguments, owner=spec.name)
