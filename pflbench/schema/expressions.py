"""Names with parameters, as they are written on a command line: `dirichlet(alpha=0.1)`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pflbench.errors import InputError
from pflbench.schema.numbers import number_of
from pflbench.schema.parameters import Scalar

_NAME = r"[A-Za-z][A-Za-z0-9_-]*(?:\+[a-z]+)*"
_CALL = re.compile(rf"\s*({_NAME})\s*(?:\((.*)\))?\s*", re.DOTALL)
_VALUE = rf"[^=(),]+?|{_NAME}\s*\([^()]*\)"
_ARGUMENT = re.compile(rf"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*({_VALUE})\s*")


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

    A value may be such a text itself, without a third level: `fedopt(optimizer=adam(beta2=0.99))`.

    Raises
    ------
    InputError
        The text does not have this form.
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
    for part in _parts(inside or ""):
        if not part.strip():
            continue
        argument = _ARGUMENT.fullmatch(part)
        if argument is None:
            such = f", as in {example}" if example.startswith(f"{name}(") else ""
            raise InputError(
                f"{part.strip()!r} in {text!r} is not an argument: expected parameter=value{such}."
            )
        if argument.group(1) in arguments:
            raise InputError(f"{argument.group(1)!r} is given twice in {text!r}.")
        arguments[argument.group(1)] = argument.group(2)
    return Expression(name, arguments)


def _parts(inside: str) -> Iterator[str]:
    """Split arguments at commas outside parentheses."""
    while inside:
        end = _end_of_item(inside)
        yield inside[:end]
        inside = inside[end + 1 :]


def is_expression(value: object) -> bool:
    """Return whether a value is written as a name rather than as a number."""
    return isinstance(value, str) and number_of(value) is None


IN_FILE: Final = re.compile(r"(?P<path>.+\.py)(?::(?P<name>\w*))?", re.DOTALL)
"""A network in a Python file: "path/to/net.py:build"."""


def is_model_file(text: object) -> bool:
    """Return whether a text names a Python file in place of a model."""
    return isinstance(text, str) and IN_FILE.fullmatch(text) is not None


def split_list(text: str) -> list[str]:
    """Split a comma-separated list, leaving commas inside parentheses alone.

    An item in double quotes is taken literally, and a quote inside it is written twice: paths may
    contain commas.
    """
    parts, rest = [], text
    while rest:
        quoted = _QUOTED.match(rest)
        if quoted is not None:
            parts.append(quoted.group(1).replace('""', '"'))
            rest = rest[quoted.end() :]
            continue
        end = _end_of_item(rest)
        parts.append(rest[:end].strip())
        rest = rest[end + 1 :]
    return [part for part in parts if part]


def list_item(text: str) -> str:
    """Write an item of a list as `split_list` reads it back: in quotes, if it needs them."""
    plain = '"' not in text and split_list(f"{text},and") == [text, "and"]
    return text if plain else '"' + text.replace('"', '""') + '"'


_QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|\Z)')


def _end_of_item(text: str) -> int:
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            return i
    return len(text)


def format_scalar(value: Scalar) -> str:
    """Write a value as `parse_parameters` reads it back."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
