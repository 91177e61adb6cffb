"""What is imported is declared in pyproject.toml: by the core, or by the extra that is named."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OWN = {"pflbench", "pflbench_algorithms", "pflbench_datasets"}
BY_EXTRAS = {"matplotlib": "report", "optuna": "tune"}
"""Modules that are imported where `pflbench.extras.needed` has found them before."""
FOR_SOME = {"pytest"}
"""Modules that only tests of plugins import."""


def names(requirements: list[str]) -> set[str]:
    """Return the modules of requirements, which are called as their packages are."""
    found = {re.split(r"[^\w-]", one)[0].lower().replace("-", "_") for one in requirements}
    return found | ({"PIL"} if "torchvision" in found else set())


def imported(path: Path) -> Iterator[str]:
    """Yield the packages that a module imports anywhere but for types alone."""
    pending: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        pending.extend(ast.iter_child_nodes(node))


def sources() -> Iterator[Path]:
    for folder in ("pflbench", "algorithms", "datasets"):
        yield from sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.slow
def test_every_import_is_a_declared_dependency() -> None:
    core = names(PROJECT["dependencies"])
    known = core | OWN | FOR_SOME | set(BY_EXTRAS) | set(sys.stdlib_module_names)
    assert not core & set(BY_EXTRAS)
    undeclared = {
        (str(path.relative_to(ROOT)), module)
        for path in sources()
        for module in imported(path)
        if module not in known
    }
    assert undeclared == set()


def test_every_extra_that_is_named_has_the_package() -> None:
    extras = PROJECT["optional-dependencies"]
    named = {"markupsafe": "jinja2"}  # of which it is a part
    calls = [
        match.groups()
        for path in sources()
        for match in re.finditer(r'needed\(\s*"([\w.]+)", .+, "(\w+)"\)', path.read_text("utf-8"))
    ]
    assert len(calls) >= 5
    for module, extra in calls:
        package = module.partition(".")[0]
        assert named.get(package, package) in names(extras[extra]), (module, extra)
    (everything,) = extras["all"]
    assert {extra for _, extra in calls} == set(re.split(r"[\[\],]", everything)[1:-1])
