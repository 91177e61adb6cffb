"""The settings of a method: its own parameters, and those of every method.

The clients' learning rate belongs to the scenario, which all methods of a leaderboard share. But
a comparison at equal tuning needs a rate that suits each method: so every method has a parameter
`local_lr`, which replaces the scenario's rate for this row alone.
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
from pflbench.schema.plugins import Registry, installed
from pflbench.schema.specs import EVERY_METHODS, AlgorithmSpec


@dataclass(frozen=True)
class EveryMethods:
    """The parameters that every method has in addition to its own."""

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


class PluginName(str):
    """The name of a plugin as the value of a parameter (`param(shelf=...)`), with its record."""

    spec: Any

    def __new__(cls, name: str, spec: Any) -> PluginName:
        """Keep the record with the name."""
        made = super().__new__(cls, name)
        made.spec = spec
        return made

    def __deepcopy__(self, _: object) -> str:
        """Return the name alone: it is all that is ever stored."""
        return str(self)


@dataclass(frozen=True)
class Settings:
    """A method's own parameters, and its own learning rate if it has one."""

    parameters: Any
    local_lr: float | None = None

    def of_identity(self, lr: float) -> dict[str, Scalar]:
        """Return the parameters that name a run in a scenario with learning rate `lr`.

        A rate equal to the scenario's is not a separate row.
        """
        own = parameters_of_identity(self.parameters)
        if self.local_lr is None or self.local_lr == lr:
            return own
        return {**own, RATE: self.local_lr}


def parse_settings(
    spec: AlgorithmSpec, given: Mapping[str, Any], registry: Registry | None = None
) -> Settings:
    """Read a method's settings from texts or values.

    Parameters
    ----------
    spec
        The method's record.
    given
        By name.
    registry
        Where plugins that parameters name are looked up; None to leave the names alone.

    Raises
    ------
    InputError
        An unknown name, a value of the wrong type or out of bounds; or no plugin of a name.
    """
    known = [info.name for info in describe_settings(spec)]
    for name in given:
        if name not in known:
            raise UnknownNameError(f"parameter of {spec.name}", name, known)
    own = {name: value for name, value in given.items() if name not in EVERY_METHODS}
    common = {name: value for name, value in given.items() if name in EVERY_METHODS}
    parameters: Any = parse_parameters(spec.parameters, own, owner=spec.name)
    local_lr = parse_parameters(EveryMethods, common, owner=spec.name).local_lr
    return Settings(
        parameters if registry is None else with_plugins(parameters, registry), local_lr
    )


def describe_settings(spec: AlgorithmSpec) -> list[ParameterInfo]:
    """List the settings of a method: its own parameters first."""
    return [*describe_parameters(spec.parameters), *describe_parameters(EveryMethods)]


def with_plugins(parameters: Any, registry: Registry) -> Any:
    """Return parameters whose names of plugins have the records that a registry has for them.

    Raises
    ------
    InputError
        No plugin has such a name, or it is broken.
    """
    found = {
        info.name: PluginName(name, registry.get(getattr(registry, info.shelf), name))
        for info in describe_parameters(type(parameters))
        if info.shelf and (name := getattr(parameters, info.name)) is not None
    }
    return dataclasses.replace(parameters, **found) if found else parameters


def plugin_of(name: str, shelf: str) -> Any:
    """Return the record of a plugin that a parameter names, as `parse_settings` has found it.

    A name that it has not seen is looked up among the installed plugins.
    """
    if isinstance(name, PluginName):
        return name.spec
    return installed().get(getattr(installed(), shelf), name)
