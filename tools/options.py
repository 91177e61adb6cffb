"""Write the tables of options into docs/command-line.md: `python tools/options.py`.

The rows of the fields of a scenario are written by `tools/tables.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from pflbench.cli.executor_options import PANEL
from pflbench.cli.main import main as pflbench
from pflbench.cli.option_types import Number, PathText

PAGE = Path(__file__).resolve().parent.parent / "docs" / "command-line.md"

HEADER = ["| Option | Value | Meaning |", "|---|---|---|"]

SHARED: dict[str, list[str]] = {
    "Which cells": ["--matrix", "--algo", "--seed", "--set"],
    "Where cells run": PANEL,
}
"""Sections of options that several commands take, with those that are listed here."""

LINKS: dict[str, dict[str, str]] = {
    "--shard": {"part I of N": "matrix.md#in-parts"},
    "--engine": {"one after the other": "engine.md"},
    "--dry-run": {"estimates": "matrix.md#before-it-runs"},
    "--matrix": {"a TOML file": "matrix.md"},
    "--jobs": {"at a time": "#several-cells-at-a-time"},
    "--executor": {"Ray cluster": "cluster.md#ray"},
    "--ray-address": {"Ray cluster": "cluster.md#ray"},
    "--extend": {"Continue": "tuning.md#where-the-search-ends"},
    "--columns": {
        "which rows are told apart": "statistics.md",
        "which clients a method hurts": "results-format.md#negative-transfer",
        "calibration": "results-format.md#calibration",
        "new clients": "scenarios.md#new-clients",
        "quality of the relations": "results-format.md#relatednessparquet",
        "cost": "cost.md",
    },
    "--target": {"what had been spent": "cost.md#until-a-target"},
    "--network": {"time of a federation": "cost.md#time-of-a-real-federation"},
}
"""By option, words of its help, and the page that says more of them."""

NAMES = ("Ray",)
"""Words with a capital that a help text may begin with."""


def commands(
    group: click.Command = pflbench, name: str = "pflbench"
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that has options of its own, by its name in full."""
    if not isinstance(group, click.Group):
        yield name, group
        return
    context = click.Context(group)
    for sub in group.list_commands(context):
        command = group.get_command(context, sub)
        assert command is not None
        yield from commands(command, f"{name} {sub}")


def options(command: click.Command) -> dict[str, click.Option]:
    """Return a command's options by their names, without --help."""
    found = [param for param in command.params if isinstance(param, click.Option)]
    return {option.opts[0]: option for option in found if option.opts[0] != "--help"}


def rewritten(text: str) -> str:
    """Return the page's text with the tables of all options."""
    sections = re.split(r"(?m)^(?=## )", text)
    by_heading = {part.partition("\n")[0].removeprefix("## "): part for part in sections}
    every = dict(commands())
    for heading, names in SHARED.items():
        shared = options(every["pflbench run"])
        by_heading[heading] = _tabled(by_heading[heading], [shared[name] for name in names])
    for name, command in every.items():
        heading = "pflbench show NAME" if name == "pflbench show plugin" else name
        part = by_heading[heading]
        elsewhere = {
            listed
            for section in SHARED
            if f"](#{section.lower().replace(' ', '-')})" in part
            for listed in re.findall(r"(?m)^\| `(--[\w-]+)`", by_heading[section])
        }
        own = [option for key, option in options(command).items() if key not in elsewhere]
        by_heading[heading] = _tabled(part, own)
    return "".join(by_heading.values())


def _tabled(section: str, own: list[click.Option]) -> str:
    """Return a section with the rows of these options; rows of other options stay below."""
    lines = section.split("\n")
    begin = lines.index(HEADER[0]) + len(HEADER)
    end = next(i for i in range(begin, len(lines)) if not lines[i].startswith("|"))
    names = {name for option in own for name in (*option.opts, *option.secondary_opts)}
    of_fields = [
        line
        for line in lines[begin:end]
        if section.startswith("## Which cells") and line.split("`")[1] not in names
    ]
    rows = [row for option in own for row in _rows(option)]
    return "\n".join([*lines[:begin], *rows, *of_fields, *lines[end:]])


def _rows(option: click.Option) -> list[str]:
    rows = [f"| `{option.opts[0]}` | {_value(option)} | {_meaning(option)} |"]
    rows += [f"| `{name}` | | the opposite |" for name in option.secondary_opts]
    return [re.sub(r"\| +\|", "| |", row) for row in rows]


def _value(option: click.Option) -> str:
    kind = option.type
    if option.is_flag:
        return ""
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, Number):
        return f"{'whole number' if kind.whole else 'number'} {kind.bounds}".strip()
    if isinstance(kind, PathText):
        return "file" if option.metavar == "FILE" else "folder"
    return f"`{option.metavar}`".replace("|", "`, `")


def _meaning(option: click.Option) -> str:
    text = str(option.help).strip().rstrip(".").replace("|", "\\|")
    text = re.sub(r"\[cyan\](.*?)\[/cyan\]", r"`\1`", text)
    text = re.sub(r"(?<![\w`])(--[a-z][a-z-]+|name:PATH|\.(?:png|pdf|svg)\b)", r"`\1`", text)
    if option.opts[0] in LINKS and "replay" not in text:
        for words, target in LINKS[option.opts[0]].items():
            if words not in text:
                raise SystemExit(f"{option.opts[0]}: its help has no {words!r}: change LINKS")
            text = text.replace(words, f"[{words}]({target})", 1)
    sentences = [_lowered(sentence) for sentence in re.split(r"\.\s+(?=[A-Z])", text)]
    if isinstance(option.show_default, str):
        sentences.append(f"default: {option.show_default}")
    elif option.show_default:
        default = option.default[0] if isinstance(option.default, list) else option.default
        sentences.append(f"default: `{default}`")
    if option.required:
        sentences.append("required")
    if option.envvar:
        sentences.append(f"else the environment variable `{option.envvar}`")
    return "; ".join(sentences)


def _lowered(sentence: str) -> str:
    """Begin with a small letter, unless a name or an abbreviation begins the sentence."""
    mark = "[" if sentence.startswith("[") else ""  # of a link
    words = sentence.removeprefix(mark)
    if words.startswith(NAMES) or words[1:2].isupper():
        return sentence
    return mark + words[:1].lower() + words[1:]


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(rewritten(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
