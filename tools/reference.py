"""Write the reference of the Python interface, docs/reference/: `python tools/reference.py`.

Also writes the blocks of docs/write-a-plugin.md that list the signatures of a class.

Signatures and docstrings are read by griffe, which imports nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import griffe
from griffe import DocstringSectionKind as Kind

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
PLUGINS = ROOT / "docs" / "write-a-plugin.md"

MODULES: dict[str, str] = {
    "pflbench": "Running, comparing, and the records of plugins",
    "pflbench.method": "What a method is made of",
    "pflbench.federation": "Who has which samples",
    "pflbench.schema.hookspecs": "Hooks of plugins",
    "pflbench.runs": "One cell, and what observers see of it",
    "pflbench.experiments.executors": "Where cells run",
    "pflbench.analysis": "Numbers from stored runs",
    "pflbench.results": "The results folder",
    "pflbench.report.pictures": "Pictures",
    "pflbench.conformance": "The conformance kit",
    "pflbench.errors": "Errors and notices",
}
"""The modules that have a page, and what is in them."""

HOMES = ("pflbench.method", "pflbench.federation", *MODULES)
"""A name of several modules is documented in the first of these; the others link to it."""

_WIDEST = 96
_LISTED = {
    Kind.parameters: "Parameters",
    Kind.other_parameters: "Parameters",
    Kind.raises: "Raises",
}


@cache
def package() -> griffe.Module:
    """Return the package as its sources say it is."""
    logging.getLogger("griffe").setLevel(logging.ERROR)
    found = griffe.load("pflbench", search_paths=[ROOT], docstring_parser="numpy")
    assert isinstance(found, griffe.Module)
    return found


def public(module: str) -> dict[str, griffe.Object]:
    """Return the public objects of a module: those in its `__all__`, or all with a docstring."""
    path = module.removeprefix("pflbench").removeprefix(".")
    found = package()[path] if path else package()
    assert isinstance(found, griffe.Module)
    names = found.exports or [
        name
        for name, member in found.members.items()
        if not name.startswith("_") and not member.is_alias and member.docstring
    ]
    members = {str(name): found[str(name)] for name in names if not str(name).startswith("__")}
    found_objects = {name: _target(name, member) for name, member in members.items()}
    # what is called comes first; else the order is the module's
    return dict(sorted(found_objects.items(), key=lambda item: not item[1].is_function))


def _target(name: str, member: griffe.Object | griffe.Alias) -> griffe.Object:
    """Return the object that a name stands for, wherever it is written."""
    target = member.final_target if isinstance(member, griffe.Alias) else member
    if isinstance(target, griffe.Module):  # of the name of a function in it, which hides it
        return _target(name, target[name])
    return target


@cache
def homes() -> dict[str, str]:
    """Return the module whose page documents an object, by the object's own path."""
    found: dict[str, str] = {}
    for module in HOMES:
        for member in public(module).values():
            found.setdefault(member.path, module)
    return found


def page(module: str) -> str:
    """Return the page of a module."""
    members = public(module)
    parts = [f"# {module}", f"{MODULES[module]}. [All modules](README.md)"]
    for name, member in members.items():
        home = homes()[member.path]
        if home == module:
            parts += entry(name, member, module)
        else:
            parts += [f"## {name}", f"See [`{home}.{name}`]({home}.md#{name.lower()})."]
    return "\n\n".join(part.rstrip() for part in parts if part.strip()) + "\n"


def contents() -> str:
    """Return the page that lists the modules."""
    rows = [
        f"| [`{module}`]({module}.md) | {words} | {', '.join(f'`{n}`' for n in public(module))} |"
        for module, words in MODULES.items()
    ]
    return "\n".join(
        [
            "# Python reference",
            "",
            "Written by `python tools/reference.py` from the docstrings. [pflbench from",
            "Python](../python.md) is the introduction.",
            "",
            "| Module | Contents | Names |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def entry(name: str, member: griffe.Object, module: str) -> Iterator[str]:
    """Yield the paragraphs on an object."""
    yield f"## {name}"
    if isinstance(member, griffe.Function):
        yield block(signature(name, member.parameters, member.returns))
        yield from documented(member)
    elif isinstance(member, griffe.Class):
        yield block(signature(f"class {name}", member.parameters, None, bases=member))
        yield from documented(member, inherited=attributes_of_bases(member))
        for own, part in member.members.items():
            if own.startswith("_") or part.is_alias or not part.docstring:
                continue
            if isinstance(part, griffe.Function):
                yield f"### {name}.{own}"
                yield block(signature(own, part.parameters, part.returns))
                yield from documented(part)
            elif "property" in part.labels:
                yield f"### {name}.{own}"
                yield block(f"{own}: {part.annotation}")
                yield from documented(part)
    else:
        assert isinstance(member, griffe.Attribute)
        yield block(f"{name} = {member.value}")
        yield from documented(member)


def signature(
    name: str,
    parameters: griffe.Parameters,
    returns: object,
    *,
    bases: griffe.Class | None = None,
    itself: bool = False,
    widest: int = _WIDEST,
) -> str:
    """Return a signature, in one line or with a parameter in each; `itself`: with self."""
    parts: list[str] = []
    kinds = griffe.ParameterKind
    keyword_only = False
    for parameter in parameters:
        if parameter.name in ("self", "cls") and not parts:
            parts += ["self"] if itself else []
            continue
        if parameter.name.startswith("_"):
            continue
        star = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(parameter.kind, "")
        if parameter.kind is kinds.keyword_only and not keyword_only:
            parts.append("*")
            keyword_only = True
        keyword_only |= parameter.kind is kinds.var_positional
        text = f"{star}{parameter.name}"
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        default = str(parameter.default) if parameter.default is not None else ""
        if default and not star:
            text += f" = {default}" if parameter.annotation is not None else f"={default}"
        parts.append(text)
    if bases is not None and not parts:
        own = [str(base) for base in bases.bases if str(base) != "object"]
        head = f"{name}({', '.join(own)})" if own else name
        fields = [
            f"    {field}: {member.annotation}"
            for field, member in bases.attributes.items()
            if member.annotation is not None and "property" not in member.labels
        ]
        return "\n".join([f"{head}:", *fields]) if fields else head
    end = f" -> {returns}" if returns is not None else ""
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= widest:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){end}"])


def attributes_of_bases(member: griffe.Class) -> list[griffe.DocstringElement]:
    """Return the attributes that the docstrings of a class's bases describe, the first's first."""
    return [
        item
        for base in member.mro()[::-1]
        if base.docstring is not None
        for section in base.docstring.parsed
        if section.kind is Kind.attributes
        for item in section.value
    ]


def documented(
    member: griffe.Object, *, inherited: Sequence[griffe.DocstringElement] = ()
) -> Iterator[str]:
    """Yield the paragraphs of a docstring, with attributes that bases describe before its own."""
    if member.docstring is None:
        return
    sections = list(member.docstring.parsed)
    if inherited and not any(section.kind is Kind.attributes for section in sections):
        sections.append(griffe.DocstringSectionAttributes([]))
    for section in sections:
        if section.kind is Kind.attributes:
            own = {item.name for item in section.value}
            above = [item for item in inherited if getattr(item, "name", "") not in own]
            yield "**Attributes**"
            yield listed([*above, *section.value])
            continue
        if section.kind is Kind.text:
            yield section.value
        elif section.kind in _LISTED:
            yield f"**{_LISTED[section.kind]}**"
            yield listed(section.value)
        elif section.kind in (Kind.returns, Kind.yields):
            for value in section.value:
                words = section.kind.value.capitalize()
                yield f"**{words}** `{value.annotation}`: {' '.join(value.description.split())}"
        elif section.kind is Kind.examples:
            for kind, text in section.value:
                yield text if kind is Kind.text else block(text)
        elif section.kind is Kind.admonition:
            yield f"**{section.title}**"
            yield section.value.description


def listed(items: Sequence[griffe.DocstringElement]) -> str:
    """Return parameters, attributes or errors as a list; those of one description together."""
    lines = []
    for words, group in groupby(items, key=lambda item: item.description):
        names = [str(getattr(item, "name", None) or item.annotation) for item in group]
        text = "\n  ".join(words.strip().splitlines())
        lines.append(f"- {', '.join(f'`{name}`' for name in names)}: {text}")
    return "\n".join(lines)


def block(code: str) -> str:
    """Return code as a block that tests of the documentation do not run."""
    return f"```py\n{code}\n```"


def with_signatures(text: str) -> str:
    """Return a page with the signatures of the classes that its comments name."""

    def lines(match: re.Match[str]) -> str:
        path = match[2].removeprefix("pflbench.")
        found = _target(path.rpartition(".")[2], package()[path])
        own = [
            signature(name, method.parameters, method.returns, itself=True, widest=1000)
            for name, method in found.functions.items()
            if not name.startswith("_")
        ]
        return "\n".join([match[1], *own, match[3]])

    return re.sub(r"(?s)(<!-- signatures of (\S+) -->\n\n```text)\n.*?(```)", lines, text)


def written() -> dict[Path, str]:
    """Return the text of each page by its path."""
    pages = {PAGES / f"{module}.md": page(module) for module in MODULES}
    plugins = with_signatures(PLUGINS.read_text("utf-8"))
    return {PAGES / "README.md": contents(), PLUGINS: plugins, **pages}


def main() -> None:
    """Write the pages, and remove those of modules that have none any more."""
    PAGES.mkdir(exist_ok=True)
    pages = written()
    for path in PAGES.glob("*.md"):
        if path not in pages:
            path.unlink()
    for path, text in pages.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
