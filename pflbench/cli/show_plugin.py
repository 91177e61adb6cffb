"""The output of `pflbench show NAME` on a plugin's record."""

from __future__ import annotations

import dataclasses
import re
from importlib.resources import files
from typing import Any

from rich.console import RenderableType
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from pflbench.errors import InputError, UnknownNameError
from pflbench.report.terminal.screen import literal, show, table
from pflbench.schema.expressions import format_scalar
from pflbench.schema.parameters import NoParameters, ParameterInfo, describe_parameters
from pflbench.schema.plugins import Registry, Shelf, installed
from pflbench.schema.settings import describe_settings
from pflbench.schema.specs import FINE_TUNED, AlgorithmSpec, DatasetSpec, Reference

_CODE = ("client", "server", "load", "make", "build", "function")


def describe(name: str, *, note: bool) -> None:
    """Print the records of a name, on every shelf that has it.

    Raises
    ------
    UnknownNameError
        No plugin brings the name.
    InputError
        Two plugins bring it, or the one that would bring it is broken.
    """
    registry = installed()
    name = name.partition(":")[0] if ":" in name else name
    shelves = [shelf for shelf in registry.shelves if name in shelf.entries]
    if name.endswith(FINE_TUNED):
        registry.get(registry.algorithms, name)
        shelves = [registry.algorithms]
    if not shelves:
        for problem in registry.problems:
            if name in problem.names or name == problem.plugin:
                raise InputError(f"The plugin {problem.plugin!r} is broken: {problem.message}")
        known = {known for shelf in registry.shelves for known in shelf.entries}
        raise UnknownNameError("plugin", name, known, hint=_hint(name))
    for shelf in shelves:
        spec = registry.get(shelf, name)
        show(*_parts(registry, shelf, spec))
        if note:
            show(_note(spec), width=100)  # prose, which is not to run as wide as a table


def _hint(name: str) -> str:
    """Suggest other meanings of a name."""
    if _START_OF_ID.fullmatch(name):
        return f" If it is a run's id: pflbench show run {name}."
    return " See pflbench list."


_START_OF_ID = re.compile("(?=.*[0-9])[0-9a-f]{3,12}")


def _parts(registry: Registry, shelf: Shelf[Any], spec: Any) -> list[RenderableType]:
    takes_path = getattr(spec, "takes_path", False)
    head = Text.assemble(
        (f"{spec.name}:PATH" if takes_path else spec.name, "bold cyan"),
        f"  {shelf.kind}, from the plugin {shelf.owner(spec.name)}",
    )
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    for label, value in _facts(spec):
        facts.add_row(label, literal(value))
    parts: list[RenderableType] = [head, Text(spec.summary), Text(), facts]
    if isinstance(spec, AlgorithmSpec):
        infos = describe_settings(spec)
    else:
        infos = describe_parameters(getattr(spec, "parameters", NoParameters))
    if infos:
        parts.append(parameter_table(infos))
    elif hasattr(spec, "parameters"):
        parts.append(Text("It has no parameters.\n", style="dim"))
    if isinstance(spec, DatasetSpec):
        parts.append(reference_table(spec.reference))
    return parts


def _facts(spec: Any) -> list[tuple[str, str]]:
    facts = [
        (label, str(value))
        for label, value in (
            ("paper", getattr(spec, "paper", "")),
            ("holds", getattr(spec, "size", "")),
            ("version", getattr(spec, "version", "")),
            ("head", getattr(spec, "head", "")),
            ("reveals", getattr(spec, "reveals", "")),
        )
        if value
    ]
    facts += [(part, getattr(spec, part)) for part in _CODE if getattr(spec, part, "")]
    if getattr(spec, "note", ""):
        facts.append(("note", f"pflbench show {spec.name} --note"))
    return facts


def parameter_table(infos: list[ParameterInfo]) -> Table:
    """Return a table of hyper-parameters."""
    made = table("Parameter", "Default", "Type", "Bounds", "Meaning", "Source of the default")
    for info in infos:
        default = "(required)" if info.required else format_scalar(info.default)
        cells = (info.name, default, info.type, info.bounds, info.help, info.source)
        made.add_row(*map(literal, cells))
    return made


def reference_table(reference: Reference) -> Table:
    """Return a table of a data set's reference scenario, which runs without further options."""
    made = table("Reference scenario", "Value", "Option")
    for field in dataclasses.fields(reference):
        value = getattr(reference, field.name)
        if value is not None:
            made.add_row(
                field.name.replace("_", " "),
                literal(str(value)),
                f"--{field.name.replace('_', '-')}",
            )
    return made


def _note(spec: Any) -> RenderableType:
    package, _, file = getattr(spec, "note", "").partition(":")
    if not file:
        raise InputError(f"{spec.name} has no note.")
    try:
        return Markdown(files(package).joinpath(file).read_text(encoding="utf-8-sig"))
    except (OSError, ImportError) as error:
        raise InputError(
            f"The note of {spec.name} ({spec.note}) cannot be read: {error}"
        ) from error
