"""A plugin chosen by a text such as `dirichlet(alpha=0.1)`: its record, with parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pflbench.isolation import Guard
from pflbench.schema.error_text import named
from pflbench.schema.expressions import is_expression, parse_expression
from pflbench.schema.parameters import parameters_of_identity, parse_parameters
from pflbench.schema.plugins import Registry, Shelf
from pflbench.schema.scenario import Choice
from pflbench.schema.scenario_fields import scenario_fields
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
        Its form in an identity.
    """

    kind: str
    spec: Any
    parameters: Any
    choice: Choice

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
    settle = getattr(parameters, "settled", None)  # adds the digest of a file, say
    parameters = parameters if settle is None else settle()
    choice = Choice(spec.name, parameters_of_identity(parameters), spec.version)
    return Chosen(shelf.kind, spec, parameters, choice)


def choose_fields(asked: object, registry: Registry) -> dict[str, Chosen]:
    """Read every text of a request that names a plugin, by the name of its field.

    Raises
    ------
    InputError
        As of `choose`.
    """
    texts = {
        name: getattr(asked, name)
        for name, field in scenario_fields().items()
        if field.shelf and field.is_expression
    }
    return {
        name: choose_field(name, text, registry)
        for name, text in texts.items()
        if is_expression(text)
    }


def choose_field(name: str, text: str, registry: Registry) -> Chosen:
    """Read the text of one field."""
    field = scenario_fields()[name]
    shelf = getattr(registry, field.shelf)
    return choose(text, shelf, registry, kind=name, example=field.example)
