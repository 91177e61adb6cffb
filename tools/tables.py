"""Write the tables of scenario fields into the documentation: `python tools/tables.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pflbench.schema.scenario_fields import ScenarioField, scenario_fields

DOCS = Path(__file__).resolve().parent.parent / "docs"

TABLES: dict[str, tuple[str, Callable[[ScenarioField], str]]] = {
    "command-line.md": ("## Which cells", lambda field: field.option),
    "matrix.md": ("## Scenarios", lambda field: field.name),
}
"""By page, the heading above the table, and a field's entry in the first column."""


def rows(page: str) -> list[str]:
    """Return the rows of the fields for a page."""
    key = TABLES[page][1]
    return [
        f"| `{key(field)}` | {_value(field)} | {_meaning(field)} |"
        for field in scenario_fields().values()
    ]


def rewritten(page: str, text: str) -> str:
    """Return a page's text with the rows of its table, from the first field's to the last.

    Rows above the first field's are written by hand.
    """
    heading, key = TABLES[page]
    lines = text.splitlines()
    first = key(next(iter(scenario_fields().values())))
    begin = next(
        i
        for i, line in enumerate(lines)
        if i > lines.index(heading) and line.startswith(f"| `{first}` |")
    )
    end = next(i for i in range(begin, len(lines)) if not lines[i].startswith("|"))
    return "\n".join([*lines[:begin], *rows(page), *lines[end:]]) + "\n"


def _value(field: ScenarioField) -> str:
    if field.choices:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    if field.sequence:
        return "list"
    if field.type == "str":
        named = "file" if field.metavar == "FILE" else "name"
        return "expression" if field.is_expression else named
    number = f"{'whole number' if field.type == 'int' else 'number'} {field.bounds}".strip()
    return f"{number}, or expression" if field.is_expression else number


def _meaning(field: ScenarioField) -> str:
    text = field.help.replace("name:PATH", "`name:PATH`").replace("|", "\\|")
    if field.example:
        text += f", such as `{field.example}`"
    if field.default is not None:
        text += f"; default `{field.default}`"
    if field.usual:
        text += f"; default: {field.usual}"
    if field.page:
        page, _, heading = field.page.partition("#")
        words = (heading or page.removesuffix(".md")).replace("-", " ")
        text += f" (see [{words}]({field.page}))"
    return text


def main() -> None:
    """Rewrite the pages."""
    for page in TABLES:
        path = DOCS / page
        path.write_text(rewritten(page, path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
