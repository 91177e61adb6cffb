"""A page for each installed method: its record, its parameters and its note."""

from __future__ import annotations

from importlib.resources import files

from pflbench.report.tables.escape import markdown
from pflbench.schema.expressions import format_scalar
from pflbench.schema.parameters import ParameterInfo
from pflbench.schema.plugins import installed
from pflbench.schema.settings import describe_settings
from pflbench.schema.specs import AlgorithmSpec


def methods() -> list[AlgorithmSpec]:
    """Return the records of all methods, by name."""
    registry = installed()
    shelf = registry.algorithms
    return [registry.get(shelf, name) for name in sorted(shelf.entries)]


def note_file(spec: AlgorithmSpec) -> str:
    """Return the file of a method's note in the repository, "" if it has none."""
    package, _, file = spec.note.partition(":")
    return f"algorithms/{package.replace('.', '/')}/{file}" if file else ""


def method_page(spec: AlgorithmSpec) -> str:
    """Return the page of a method: Markdown, with the note's links as they are in the note."""
    facts = [("Run it", f"`pflbench run --algo {spec.name} --dataset mnist`")]
    facts.append(("Version", f"`{spec.version}`"))
    if spec.golden:
        facts.append(("Replay a recorded run", f"`pflbench check {spec.name} --golden FILE`"))
    if spec.paper and not spec.note:
        facts.append(("Paper", markdown(spec.paper)))
    parts = [
        f"# {spec.name}",
        f"{markdown(spec.summary)}.",
        "\n".join(f"- {label}: {value}" for label, value in facts),
    ]
    package, _, file = spec.note.partition(":")
    if file:  # it has the parameters, too
        note = files(package).joinpath(file).read_text(encoding="utf-8-sig")
        parts.append(_untitled(note))
    else:
        parts.append(_parameters(describe_settings(spec)))
    return "\n\n".join(part for part in parts if part) + "\n"


def methods_table(specs: list[AlgorithmSpec]) -> str:
    """Return a table of all methods, with links to their pages."""
    rows = "\n".join(
        f"| [{s.name}]({s.name}.md) | {markdown(s.summary)} | {markdown(s.paper)} |" for s in specs
    )
    return f"| Method | What it does | Paper |\n|---|---|---|\n{rows}\n"


def _parameters(infos: list[ParameterInfo]) -> str:
    if not infos:
        return ""
    rows = [
        f"| `{info.name}` | {'required' if info.required else f'`{format_scalar(info.default)}`'} "
        f"| {markdown(info.bounds)} | {markdown(info.help)} | {markdown(info.source)} |"
        for info in infos
    ]
    head = "| Parameter | Default | Bounds | Meaning | Source of the default |"
    return f"## Parameters\n\n{head}\n|---|---|---|---|---|\n" + "\n".join(rows)


def _untitled(note: str) -> str:
    """Return a note without its title, which is the page's."""
    lines = note.strip().splitlines()
    return "\n".join(lines[1:] if lines and lines[0].startswith("# ") else lines)
