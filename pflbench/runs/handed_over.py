"""Classes, networks and metrics that a run gets as objects: named for this one run only."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pflbench.engine.given import build_of, check_halves, parameter_class
from pflbench.errors import InputError
from pflbench.schema.plugins import Registry
from pflbench.schema.specs import AlgorithmSpec, MetricSpec, ModelSpec, Spec

OWNER = VERSION = "handed over"
"""Name of the plugin and version of objects: so no such run has the id of a repeatable one."""


@dataclass(frozen=True)
class HandedOver:
    """Arguments that may be objects; names are resolved by the registry.

    Attributes
    ----------
    algorithm
        A name, or the two halves of a method.
    model, head
        A name or None, or a network or a factory of one; and its classifier.
    metrics
        Name to function.
    """

    algorithm: Any
    model: Any
    head: str | None
    metrics: Mapping[str, Any] | None

    @property
    def what(self) -> str:
        """The given objects, in words; "" if all are names."""
        kinds = {
            "a method's classes": not isinstance(self.algorithm, str),
            "a network": not isinstance(self.model, str | None),
            "metrics": bool(self.metrics),
        }
        if self.head is not None and not kinds["a network"]:
            raise InputError(
                f"head = {self.head!r} belongs to a network handed over: a model that is named has "
                "its own."
            )
        return " and ".join(kind for kind, given in kinds.items() if given)

    def joined_to(self, registry: Registry, asked: Mapping[str, Any]) -> tuple[Registry, Any]:
        """Return a registry with the objects, and their names for a request.

        Raises
        ------
        InputError
            An object is not of the kind that it must be.
        """
        named: dict[str, Any] = {}
        try:
            records = [*self._method(asked, named), *self._network(named), *self._metrics()]
        except ValueError as error:  # refused by a record, as for a plugin
            raise InputError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
        return registry.joined_by(OWNER, records), named

    def _method(self, asked: Mapping[str, Any], named: dict[str, Any]) -> list[Spec]:
        if isinstance(self.algorithm, str):
            return []
        try:
            client, server = self.algorithm
        except (TypeError, ValueError) as error:
            raise InputError(
                f"algorithm = {self.algorithm!r} is not valid: expected a method's name, or the "
                "two classes (MyClient, MyServer)."
            ) from error
        check_halves(client, server)
        parameters, kind = asked["parameters"], parameter_class(client)
        if dataclasses.is_dataclass(parameters) and not isinstance(parameters, type):
            kind = type(parameters)
            parameters = {f.name: getattr(parameters, f.name) for f in dataclasses.fields(kind)}
        name = plugin_name(client.__name__.removesuffix("Client"), "method")
        named.update(algorithm=name, parameters=parameters)
        return [AlgorithmSpec(name, client.__name__, client, server, kind, version=VERSION)]

    def _network(self, named: dict[str, Any]) -> list[Spec]:
        if isinstance(self.model, str | None):
            return []
        name = plugin_name(getattr(self.model, "__name__", type(self.model).__name__), "network")
        named["model"] = name
        build = build_of(self.model)
        return [ModelSpec(name, "handed over", build, self.head, version=VERSION)]

    def _metrics(self) -> list[Spec]:
        for name, metric in (self.metrics or {}).items():
            if not callable(metric):
                raise InputError(f"The metric {name!r} is {metric!r}: expected a function.")
        return [
            MetricSpec(name, "handed over", made) for name, made in (self.metrics or {}).items()
        ]


def plugin_name(written: str, otherwise: str) -> str:
    """Return the name of a class or function as plugins are called: `MyMethod` is "my-method"."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", written)
    name = "-".join(word.lower() for word in words)
    return name if re.fullmatch(r"[a-z][a-z0-9-]*", name) else otherwise
