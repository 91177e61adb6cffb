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

from pflbench.errors import InputError, UnknownNameError
from pflbench.schema.expressions import Expression, parse_expression
from pflbench.schema.parameters import (
    NoParameters,
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
    """A plugin as the value of a parameter (`param(shelf=...)`): its name, with what it stands for.

    As a text it is the name, and in parentheses the parameters that are off their default.

    Attributes
    ----------
    spec, parameters
        The plugin's record, and an instance of its parameter class.
    """

    spec: Any
    parameters: Any

    def __new__(cls, spec: Any, parameters: Any) -> PluginName:
        """Keep the record and the parameters with the name."""
        usual = {info.name: info.default for info in describe_parameters(type(parameters))}
        values = parameters_of_identity(parameters)
        given = {k: v for k, v in values.items() if v != usual[k]}
        made = super().__new__(cls, str(Expression(spec.name, given)))
        made.spec, made.parameters = spec, parameters
        return made

    @property
    def version(self) -> str:
        """The version of the plugin, which decides numbers, too; "" if its kind has none."""
        version = getattr(self.spec, "version", "")
        return f"{self.spec.name} {version}" if version else ""

    def __deepcopy__(self, _: object) -> str:
        """Return the text alone: it is all that is ever stored."""
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

    def version(self, spec: AlgorithmSpec) -> str:
        """Return the version of a method in an identity: its own, and those of named plugins."""
        values = [getattr(self.parameters, f.name) for f in dataclasses.fields(self.parameters)]
        named = [value.version for value in values if isinstance(value, PluginName)]
        return ", ".join(filter(None, [spec.version, *named]))


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
    if registry is not None:
        try:
            parameters = with_plugins(parameters, registry)
        except ValueError as error:  # a __post_init__ that looks at the plugins
            raise InputError(f"Parameters of {spec.name}: {error}") from error
    return Settings(parameters, local_lr)


def describe_settings(spec: AlgorithmSpec) -> list[ParameterInfo]:
    """List the settings of a method: its own parameters first."""
    return [*describe_parameters(spec.parameters), *describe_parameters(EveryMethods)]


def with_plugins(parameters: Any, registry: Registry) -> Any:
    """Return parameters whose names of plugins have what a registry has for them.

    Raises
    ------
    InputError
        No plugin has such a name, or it is broken.
    """
    found = {
        info.name: _read(text, info.shelf, registry)
        for info in describe_parameters(type(parameters))
        if info.shelf and (text := getattr(parameters, info.name)) is not None
    }
    return dataclasses.replace(parameters, **found) if found else parameters


def plugin_of(text: str, shelf: str) -> PluginName:
    """Return the plugin that a parameter names, as `parse_settings` has found it.

    One that it has not seen is looked up among the installed plugins.
    """
    return text if isinstance(text, PluginName) else _read(text, shelf, installed())


def _read(text: str, shelf: str, registry: Registry) -> PluginName:
    """Read the name of a plugin, or name(parameter=value, ...)."""
    there = getattr(registry, shelf)
    if "(" not in text:
        expression = Expression(text.strip())
    else:
        expression = parse_expression(text, kind=there.kind, example="name(parameter=value)")
    spec = registry.get(there, expression.name)
    kind = getattr(spec, "parameters", NoParameters)
    return PluginName(spec, parse_parameters(kind, expression.arguments, owner=spec.name))
