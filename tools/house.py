"""The rooms of pflbench, and which imports which: `python tools/house.py [--svg FILE]`.

A room is a package; its modules are its furniture. An arrow runs from a room to one that it
imports. A room's floor is one above the highest room that it imports, so every import runs down.
Rooms that import each other in a circle share a floor, and are named.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOOR = {"pflbench", "pflbench.__main__"}
"""The modules that users import and start: outside the rooms, whose names they re-export."""


@dataclass(frozen=True)
class House:
    """The layout by imports: lines by room, arrows with their imports, floors, circles."""

    lines: dict[str, int]
    arrows: dict[tuple[str, str], list[str]]
    floors: dict[str, int]
    circles: list[list[str]]
    files: list[list[str]]
    """Modules that import each other in a circle when they are loaded."""


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Return the modules of pflbench, by dotted name."""
    made = {}
    for path in sorted((root / "pflbench").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        made[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return made


def imports(path: Path, known: dict[str, Path], *, loaded: bool = False) -> Iterator[str]:
    """Yield the modules of pflbench that a file imports.

    Parameters
    ----------
    loaded
        Only imports that run when the file is loaded: not in functions, and not only for types.
    """
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if loaded and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if loaded and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                if whole in known:
                    yield whole
                elif node.module in known:
                    yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in known)
        pending.extend(ast.iter_child_nodes(node))


def circles_of(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach each other (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(arrows.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            group = sorted(stack[at:])
            del stack[at:]
            if len(group) > 1:
                found.append(group)

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


def read_house(root: Path = ROOT) -> House:
    """Read rooms, arrows, floors and circles from the imports."""
    known = modules(root)

    def room(module: str) -> str:
        is_room = known[module].name == "__init__.py"
        return module if is_room else module.rpartition(".")[0]

    lines: dict[str, int] = {}
    arrows: dict[tuple[str, str], list[str]] = {}
    for module, path in known.items():
        here = room(module)
        text = path.read_text(encoding="utf-8")
        lines[here] = lines.get(here, 0) + len(text.splitlines())
        for target in imports(path, known):
            there = room(target)
            if there != here and module not in DOOR:
                arrows.setdefault((here, there), []).append(f"{module} imports {target}")
    for name in [name for name, number in lines.items() if number == 1]:
        del lines[name]  # a docstring over rooms, no room
    below: dict[str, set[str]] = {name: set() for name in lines}
    for here, there in arrows:
        below[here].add(there)
    circles = circles_of(below)
    in_circle = {name: group for group in circles for name in group}
    floors: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in floors:
            group = in_circle.get(name, [name])
            under = {other for one in group for other in below[one]} - set(group)
            level = 1 + max((floor(other) for other in under), default=0)
            floors.update(dict.fromkeys(group, level))
        return floors[name]

    for name in lines:
        floor(name)
    loading = {
        module: set(imports(path, known, loaded=True)) - {module}
        for module, path in known.items()
        if path.name != "__init__.py"
    }
    return House(lines, arrows, floors, circles, circles_of(loading))


def short(room: str) -> str:
    """Return a room's name without the package's."""
    return room.removeprefix("pflbench.") if room != "pflbench" else "(errors, isolation, streams)"


def svg(house: House) -> str:
    """Draw the floors, the highest at the top."""
    width, row, pad = 1040, 58, 8
    top = max(house.floors.values())
    height = top * row + 2 * pad
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="13">',
        "<title>The rooms of pflbench: each imports only from floors below</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for level in range(1, top + 1):
        y = (top - level) * row + pad
        rooms = sorted(name for name, floor in house.floors.items() if floor == level)
        parts.append(f'<text x="{pad}" y="{y + 30}" fill="#767676">{level}</text>')
        slot = (width - 40) / len(rooms)
        for i, name in enumerate(rooms):
            x = 32 + i * slot
            parts.append(
                f'<rect x="{x:.0f}" y="{y}" width="{slot - 8:.0f}" height="{row - 10}" rx="4" '
                f'fill="#eef3f8" stroke="#4a6a8a"/>'
                f'<text x="{x + 8:.0f}" y="{y + 20}" fill="#1a1a1a">{escape(short(name))}</text>'
                f'<text x="{x + 8:.0f}" y="{y + 38}" fill="#595959" font-size="11">'
                f"{house.lines[name]:,} lines</text>"
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Print the house; with --svg, draw it."""
    parser = argparse.ArgumentParser(description="The rooms of pflbench, and their imports.")
    parser.add_argument("--svg", type=Path, help="draw the floors into this file")
    wanted = parser.parse_args()
    house = read_house()
    for level in range(max(house.floors.values()), 0, -1):
        rooms = sorted(name for name, floor in house.floors.items() if floor == level)
        print(f"{level:2}  " + "  ".join(f"{short(r)} ({house.lines[r]:,})" for r in rooms))
    upward = [a for a in house.arrows if house.floors[a[0]] < house.floors[a[1]]]
    print(
        f"{sum(house.lines.values()):,} lines, {len(house.lines)} rooms, "
        f"{max(house.floors.values())} floors, {len(house.arrows)} arrows, "
        f"{len(house.circles)} circles, {len(upward)} upward imports"
    )
    for group in house.circles:
        print("circle: " + ", ".join(map(short, group)))
        for (here, there), why in house.arrows.items():
            if here in group and there in group:
                print(f"  {short(here)} -> {short(there)}: {why[0]}")
    for group in house.files:
        print("modules in a circle: " + ", ".join(group))
    if wanted.svg:
        wanted.svg.write_text(svg(house), encoding="utf-8")


if __name__ == "__main__":
    main()
