"""What the documentation says of hooks, halves, options and parameters is what the code has."""

from __future__ import annotations

import dataclasses
import inspect
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from documents import DOCS, PAGES, ROOT, blocks, column, commands, section, table

from pflbench.cli.main import main
from pflbench.method import Client, Server
from pflbench.runs import Observer
from pflbench.schema import hookspecs
from pflbench.schema.expressions import format_scalar
from pflbench.schema.parameters import describe_parameters
from pflbench.schema.plugins import installed
from pflbench.schema.specs import AlgorithmSpec

PLUGINS, SCENARIOS = DOCS / "write-a-plugin.md", DOCS / "scenarios.md"
BUILT_IN = [
    spec
    for spec in installed().algorithms.specs()
    if spec.client.startswith("pflbench")
    and installed().algorithms.owner(spec.name).startswith("pflbench:")
]


def signature(function: Any) -> str:
    """Write a function's signature as its source does."""
    text = f"{function.__name__}{inspect.signature(function)}".replace("'", "")
    return text.replace("torch.Tensor", "Tensor")


def commands_of(
    group: click.Command, name: str = "pflbench"
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with options of its own, by its name in full."""
    context = click.Context(group)
    if not isinstance(group, click.Group):
        yield name, group
        return
    for sub in group.list_commands(context):
        command = group.get_command(context, sub)
        assert command is not None
        yield from commands_of(command, f"{name} {sub}")


COMMANDS = dict(commands_of(main))


def options_of(command: click.Command) -> set[str]:
    options = [param for param in command.params if isinstance(param, click.Option)]
    names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    return {name for name in names if name.startswith("--")}


# Hooks


def hooks() -> list[Any]:
    return [f for n, f in vars(hookspecs).items() if n.startswith("pflbench_") and callable(f)]


def test_every_hook_is_documented_with_its_signature() -> None:
    documented = column(section(PLUGINS, "All hooks"), "Hook")
    assert documented == [signature(hook) for hook in hooks()]
    assert len(documented) >= 7


@pytest.mark.parametrize(
    ("half", "heading"), [(Client, "The client half"), (Server, "The server half")]
)
def test_the_halves_are_documented_with_their_signatures(half: type, heading: str) -> None:
    text = section(PLUGINS, heading)
    (listed,) = [b.text.splitlines() for b in blocks(PLUGINS, "text") if b.text in text + "\n"]
    own = [f for n, f in vars(half).items() if inspect.isfunction(f) and not n.startswith("_")]
    assert listed == [signature(f) for f in own]


def test_what_an_observer_hears_is_documented() -> None:
    text = section(PLUGINS, "Other kinds of plugin")
    for name, function in vars(Observer).items():
        if inspect.isfunction(function):
            words = [*inspect.signature(function).parameters][1:]
            assert re.search(rf"{name}\((self, )?{words[0]}\b", text), name


# Options


def test_every_command_and_option_is_in_the_reference() -> None:
    page = DOCS / "command-line.md"
    for name, command in COMMANDS.items():
        heading = "pflbench show NAME" if name == "pflbench show plugin" else name
        text = section(page, heading)
        documented = column(text, "Option")
        for shared in ("Which cells", "Where cells run"):
            if f"](#{shared.lower().replace(' ', '-')})" in text:
                documented += column(section(page, shared), "Option")
        assert len(documented) == len(set(documented))
        assert set(documented) == options_of(command) - {"--help"}, name


def test_the_tables_of_options_are_those_that_the_tool_writes() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "options.py"))
    text = (DOCS / "command-line.md").read_text("utf-8")
    assert tool["rewritten"](text) == text, "run: python tools/options.py"


def test_documentation_names_no_option_that_is_not_there() -> None:
    known = set().union(*map(options_of, COMMANDS.values())) | {"--version", "--help"}
    others = {  # of other programs
        "--cfg",
        "--iid",
        "--index-url",
        "--rm",
        "--user",
        "--check",
        "--strict",
        "--standalone",
        "--nproc-per-node",
        "--nnodes",
        "--node-rank",
        "--master-addr",
        "--address",
        "--generate",
        "--head",
        "--port",
        "--disable-usage-stats",
        "--node-manager-port",
        "--object-manager-port",
        "--min-worker-port",
        "--max-worker-port",
        "--array",
        "--cpus-per-task",
        "--gpus-per-task",
        "--job-name",
        "--mem",
        "--open-mode",
        "--output",
        "--requeue",
        "--backend-store-uri",
        "--logdir",
        "--time",
    }
    for page in PAGES:
        text = re.sub(r"^\|[-| ]+\|$", "", page.read_text("utf-8"), flags=re.MULTILINE)
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))
        assert named <= known | others, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_of_the_documentation_can_be_parsed(page: Path) -> None:
    for line in commands(page, "bash", "console"):
        name = max((n for n in COMMANDS if f"{line} ".startswith(f"{n} ")), key=len, default="")
        if line.startswith("pflbench show ") and not name:
            name = "pflbench show plugin"
        assert name, line
        named = set(re.findall(r"(?<= )--[a-z0-9-]+", line))
        assert named <= options_of(COMMANDS[name]), line


# Parameters


@pytest.mark.parametrize("spec", BUILT_IN, ids=lambda spec: spec.name)
def test_a_note_lists_the_parameters(spec: AlgorithmSpec) -> None:
    package, _, file = spec.note.partition(":")
    note = ROOT / "algorithms" / Path(*package.split(".")) / file
    infos = describe_parameters(spec.parameters)
    if not infos:
        assert section(note, "Parameters").strip().startswith("None.")
        return
    assert table(section(note, f"Parameters of `{spec.name}`")) == [
        {
            "Parameter": info.name,
            "Default": format_scalar(info.default),
            "Bounds": info.bounds,
            "Meaning": info.help,
            "Source of the default": info.source,
        }
        for info in infos
    ]
    assert spec.paper.rpartition(" ")[2] in note.read_text("utf-8"), "the paper's number"


def test_methods_lists_every_method() -> None:
    listed = {row["Name"]: row["Note"] for row in table((DOCS / "methods.md").read_text("utf-8"))}
    assert set(listed) == {spec.name for spec in BUILT_IN}
    for spec in BUILT_IN:
        assert spec.note.partition(":")[0].replace(".", "/") in listed[spec.name]


@pytest.mark.parametrize(
    "shelf", ["partitioners", "populations", "models", "participations", "optimizers", "schedules"]
)
def test_scenarios_lists_partitions_populations_and_models(shelf: str) -> None:
    registry = installed()
    shelved = getattr(registry, shelf)
    owner = "pflbench:optimizers" if shelf == "schedules" else f"pflbench:{shelf}"
    specs = [s for s in shelved.specs() if shelved.owner(s.name) == owner]
    heading, header = {
        "partitioners": ("Partitions", "Partition"),
        "populations": ("Populations", "Population"),
        "models": ("Models", "Model"),
        "participations": ("Participation", "Participation"),
        "optimizers": ("Optimizers", "Optimizer"),
        "schedules": ("Schedules", "Schedule"),
    }[shelf]
    assert set(column(section(SCENARIOS, heading), header)) == {spec.name for spec in specs}
    for spec in specs:
        if infos := describe_parameters(spec.parameters):
            assert table(section(SCENARIOS, f"Parameters of `{spec.name}`")) == [
                {
                    "Parameter": info.name,
                    "Default": format_scalar(info.default),
                    "Bounds": info.bounds,
                    "Meaning": info.help,
                }
                for info in infos
            ]


def test_scenarios_has_the_reference_scenarios() -> None:
    shelf = installed().datasets
    specs = [s for s in shelf.specs() if shelf.owner(s.name).startswith("pflbench:")]
    rows = table(section(SCENARIOS, "Reference scenarios"))
    assert set(rows[0]) == {"Option", *(spec.name for spec in specs)}
    for spec in specs:
        fields = dataclasses.asdict(spec.reference).items()
        expected = {f"--{n.replace('_', '-')}": "" if v is None else str(v) for n, v in fields}
        assert {row["Option"]: row[spec.name] for row in rows} == expected
