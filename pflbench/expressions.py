"""Names with parameters, as they are written on a command line: `dirichlet(alpha=0.1)`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pflbench.errors import InputError
from pflbench.parameters import Scalar

_NAME = r"[A-Za-z][A-Za-z0-9_-]*"
_CALL = re.compile(rf"\s*({_NAME})\s*(?:\((.*)\))?\s*", re.DOTALL)
_ARGUMENT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*([^=(),]+?)\s*")


@dataclass(frozen=True)
class Expression:
    """A name and its arguments, as given: values are texts until a parameter class reads them."""

    name: str
    arguments: Mapping[str, Scalar] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.arguments:
            return self.name
        inside = ", ".join(f"{k}={format_scalar(v)}" for k, v in self.arguments.items())
        return f"{self.name}({inside})"


def parse_expression(text: str, *, kind: str, example: str = "dirichlet(alpha=0.1)") -> Expression:
    """Read `name` or `name(key=value, …)`; `example` is one, for the message of an error.

    Raises
    ------
    InputError
        The text has another form.
    """
    match = _CALL.fullmatch(text)
    if match is None:
        article = "an" if kind[0] in "aeiou" else "a"
        raise InputError(
            f"{text!r} is not {article} {kind}: expected a name, or name(parameter=value, ...) "
            f"such as {example}."
        )
    name, inside = match.group(1), match.group(2)
    arguments: dict[str, Scalar] = {}
    for part in (inside or "").split(","):
        if not part.strip():
            continue
        argument = _ARGUMENT.fullmatch(part)
        if argument is None:
            raise InputError(
                f"{part.strip()!r} in {text!r} is not an argument: expected parameter=value."
            )
        if argument.group(1) in arguments:
            raise InputError(f"{argument.group(1)!r} is given twice in {text!r}.")
        arguments[argument.group(1)] = argument.group(2)
    return Expression(name, arguments)


def split_list(text: str) -> list[str]:
    """Split a comma-separated list, leaving commas inside parentheses alone."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def format_scalar(value: Scalar) -> str:
    """Write a value as `parse_parameters` reads it back."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
