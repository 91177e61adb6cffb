"""What may be set of a method: its own parameters, and what every method has besides.

The clients' learning rate belongs to the scenario, which all methods of a leaderboard share. But
a comparison at equal tuning needs a rate that suits each method: so every method has a parameter
`local_lr`, which replaces the scenario's for that row alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pflbench.errors import UnknownNameError
from pflbench.schema.parameters import (
    ParameterInfo,
    Scalar,
    describe_parameters,
    param,
    parameters_of_identity,
    parse_parameters,
)
from pflbench.schema.specs import EVERY_METHODS, AlgorithmSpec


@dataclass(frozen=True)
class EveryMethods:
    """What every method has besides its own parameters."""

    local_lr: float | None = param(
        None,
        "learning rate of the clients' SGD under this method; none: the scenario's",
        gt=0,
        tune=(1e-3, 1e-1),
        log=True,
    )


RATE = "local_lr"
"""The parameter that is the clients' learning rate."""

assert {f.name for f in dataclasses.fields(EveryMethods)} == EVERY_METHODS


@dataclass(frozen=True)
class Settings:
    """A method's own parameters, and its learning rate if it has one of its own."""

    parameters: Any
    local_lr: float | None = None

    def of_identity(self, lr: float) -> dict[str, Scalar]:
        """Return what names a run in a scenario of learning rate `lr`.

        A rate that the scenario has anyway is not a row of its own.
        """
        own = parameters_of_identity(self.parameters)
        if self.local_lr is None or self.local_lr == lr:
            return own
        return {**own, RATE: self.local_lr}


def parse_settings(spec: AlgorithmSpec, given: Mapping[str, Any]) -> Settings:
    """Read a method's settings from texts or values.

    Raises
    ------
    InputError
        An unknown name, a value of the wrong type or out of bounds.
    """
    known = [info.name for info in describe_settings(spec)]
    for name in given:
        if name not in known:
            raise UnknownNameError(f"parameter of {spec.name}", name, known)
    own = {name: value for name, value in given.items() if name not in EVERY_METHODS}
    common = {name: value for name, value in given.items() if name in EVERY_METHODS}
    parameters: Any = parse_parameters(spec.parameters, own, owner=spec.name)
    return Settings(parameters, parse_parameters(EveryMethods, common, owner=spec.name).local_lr)


def describe_settings(spec: AlgorithmSpec) -> list[ParameterInfo]:
    """List what may be set of a method: its own parameters first."""
    return [*describe_parameters(spec.parameters), *describe_parameters(EveryMethods)]
