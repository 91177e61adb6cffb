"""A plugin chosen by a text such as `dirichlet(alpha=0.1)`: its record, with parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pflbench.isolation import Guard
from pflbench.schema.error_text import named
from pflbench.schema.expressions import parse_expression
from pflbench.schema.parameters import describe_parameters, parameters_of_identity, parse_parameters
from pflbench.schema.plugins import Registry, Shelf, installed
from pflbench.schema.realised import marked
from pflbench.schema.scenario import Choice
from pflbench.schema.specs import resolve


@dataclass(frozen=True, eq=False)
class Chosen:
    """A plugin with its parameters.

    Attributes
    ----------
    kind
        Its kind in words.
    spec, parameters
        Its record, and an instance of its parameter class.
    choice
        As it stands in an identity.
    """

    kind: str
    spec: Any
    parameters: Any
    choice: Choice

    def marked(self, clients: int) -> Chosen:
        """Return it as it stands in the identity of a federation of N clients."""
        choice = marked(self.choice, type(self.parameters), clients)
        return dataclasses.replace(self, choice=choice)

    def maker(self) -> Callable[..., Any]:
        """Import what the record names; return a function that calls it with the parameters.

        If that fails, the error names the plugin.

        Raises
        ------
        InputError
            It cannot be imported.
        """
        make = resolve(self.spec.make, owner=f"{self.kind} {self.spec.name!r}")

        def made(*arguments: Any) -> Any:
            with Guard(partial(named, self.spec))("its construction"):
                return make(self.parameters, *arguments)

        return made


def choose(
    text: str,
    shelf: Shelf[Any],
    registry: Registry,
    *,
    example: str,
    kind: str = "",
    below: Mapping[str, Any] = {},
) -> Chosen:
    """Read a text that names a plugin.

    Parameters
    ----------
    text
        A name, or a name with parameters.
    shelf
        Where the registry has such plugins.
    example
        Of a text, for the message of an error.
    kind
        What the message calls the text; "" for the shelf's kind.
    below
        Arguments that hold where the text gives none.

    Raises
    ------
    InputError
        The text has another form, there is no such plugin, or a parameter is not valid.
    """
    expression = parse_expression(text, kind=kind or shelf.kind, example=example)
    spec = registry.get(shelf, expression.name)
    arguments = {**below, **expression.arguments}
    parameters = parse_parameters(spec.parameters, arguments, owner=spec.name)
    choice = Choice(spec.name, parameters_of_identity(parameters), spec.version)
    return Chosen(shelf.kind, spec, parameters, choice)


class PluginName(str):
    """The name of a plugin as a parameter has it (`param(shelf=...)`), with its record."""

    spec: Any

    def __new__(cls, name: str, spec: Any) -> PluginName:
        """Keep the record beside the name."""
        made = super().__new__(cls, name)
        made.spec = spec
        return made

    def __deepcopy__(self, _: object) -> str:
        """Return the name alone: it is all that is ever stored."""
        return str(self)


def with_plugins(parameters: Any, registry: Registry) -> Any:
    """Return parameters whose names of plugins have the records that a registry has for them.

    Raises
    ------
    InputError
        There is none of that name, or it is broken.
    """
    found = {
        info.name: PluginName(name, registry.get(getattr(registry, info.shelf), name))
        for info in describe_parameters(type(parameters))
        if info.shelf and (name := getattr(parameters, info.name))
    }
    return dataclasses.replace(parameters, **found) if found else parameters


def plugin_of(name: str, shelf: str) -> Any:
    """Return the record of a plugin that a parameter names, as `with_plugins` has found it.

    A name that it has not seen is looked up among the installed plugins.
    """
    if isinstance(name, PluginName):
        return name.spec
    return installed().get(getattr(installed(), shelf), name)
