from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pflbench import AlgorithmSpec, DatasetSpec, MetricSpec, ModelSpec, Reference, hookimpl
from pflbench.errors import InputError, UnknownNameError
from pflbench.schema.plugins import Registry, load
from pflbench.schema.specs import resolve

REFERENCE = Reference(partition="iid", clients=2, model="mlp", rounds=1, local_epochs=1)


def method(name: str) -> AlgorithmSpec:
    return AlgorithmSpec(name, "A method.", "some_module:Client", "some_module:Server")


def plugin(**hooks: Any) -> SimpleNamespace:
    """Return a plugin whose hooks, by name without the prefix, return the values given."""
    made = SimpleNamespace()
    for name, answer in hooks.items():

        def hook(answer: Any = answer) -> Any:
            if isinstance(answer, BaseException):
                raise answer
            return answer

        hook.__name__ = f"pflbench_{name}"
        wrapped = (lambda f: lambda: f())(hook)
        setattr(made, f"pflbench_{name}", hookimpl(wrapped))
    return made


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def point(name: str, module: str) -> EntryPoint:
    return EntryPoint(name=name, value=module, group="pflbench")


def test_records_of_all_kinds_are_found_by_name_with_their_owner() -> None:
    registry = load(
        [],
        {
            "one": plugin(
                algorithms=[method("alpha"), method("beta")],
                datasets=[DatasetSpec("shapes", "Shapes.", "m:load", REFERENCE)],
            ),
            "two": plugin(models=[ModelSpec("tiny", "Tiny.", "m:build", "head.")]),
        },
    )
    assert registry.problems == []
    assert registry.algorithms.names() == ["alpha", "beta"]
    assert registry.get(registry.algorithms, "beta").name == "beta"
    assert registry.algorithms.owner("beta") == "one"
    assert registry.models.owner("tiny") == "two"
    assert [spec.name for spec in registry.datasets.specs()] == ["shapes"]
    with pytest.raises(UnknownNameError, match=r"no algorithm 'alpa'\. Did you mean 'alpha'"):
        registry.get(registry.algorithms, "alpa")


def test_a_plugin_that_fails_to_import_stops_nothing_and_is_named(site: Path) -> None:
    (site / "broken_plugin.py").write_text("import no_such_module\n")
    (site / "leaving_plugin.py").write_text("raise SystemExit('bye')\n")
    (site / "good_plugin.py").write_text(
        "import pflbench\n"
        "@pflbench.hookimpl\n"
        "def pflbench_algorithms():\n"
        "    return [pflbench.AlgorithmSpec('good', 'Good.', 'm:C', 'm:S')]\n"
    )
    points = [
        point("bad", "broken_plugin"),
        point("good", "good_plugin"),
        point("bye", "leaving_plugin"),
    ]
    registry = load(points)
    assert registry.algorithms.names() == ["good"]
    assert {problem.plugin for problem in registry.problems} == {"bad", "bye"}
    with pytest.raises(InputError, match=r"The plugin 'bad' is broken: ModuleNotFoundError: .*"):
        registry.get(registry.algorithms, "bad")
    with pytest.raises(UnknownNameError, match=r"Broken plugins \(see pflbench list\): bad, bye"):
        registry.get(registry.algorithms, "other")


def test_two_plugins_of_one_name_are_both_named() -> None:
    rivals = {name: plugin(algorithms=[method("same")]) for name in ("first", "second")}
    registry = load([], {**rivals, "third": plugin(algorithms=[method("alone")])})
    with pytest.raises(InputError, match="Two plugins bring the algorithm 'same': 'first' and"):
        registry.get(registry.algorithms, "same")
    assert [problem.plugin for problem in registry.problems] == ["second"]
    assert "'first' and 'second'" in registry.problems[0].message
    assert [spec.name for spec in registry.algorithms.specs()] == ["alone"]


@pytest.mark.parametrize(
    ("hooks", "part"),
    [
        ({"algorithms": ValueError("two\nlines")}, "pflbench_algorithms: ValueError: two lines"),
        ({"algorithms": SystemExit(7)}, "pflbench_algorithms: SystemExit: 7"),
        ({"algorithms": ["fedora"]}, "returned 'fedora', expected AlgorithmSpec records"),
        ({"algorithms": 3}, "TypeError"),
        ({"methods": []}, "pflbench_methods"),
    ],
)
def test_a_plugin_that_answers_wrongly_is_a_problem(hooks: dict[str, Any], part: str) -> None:
    registry = Registry()
    registry.add(plugin(**hooks), "dist:odd")
    (problem,) = registry.problems
    assert problem.plugin == "dist:odd"
    assert part in problem.message
    assert "\n" not in problem.message
    with pytest.raises(InputError, match="The plugin 'dist:odd' is broken"):
        registry.get(registry.algorithms, "odd")


def test_hooks_that_work_count_though_another_fails() -> None:
    registry = Registry()
    registry.add(plugin(algorithms=[method("fine")], models=ValueError("no")), "half")
    assert registry.algorithms.names() == ["fine"]
    assert len(registry.problems) == 1


@pytest.mark.parametrize("name", ["My-Method", "my_method", "-x", "x--y", "", "a b", "../x"])
def test_names_are_lower_case_words(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name for an algorithm"):
        method(name)


@pytest.mark.parametrize("name", ["correct", "loss", "samples", "split", "accuracy"])
def test_a_metric_cannot_take_the_place_of_a_column(name: str) -> None:
    with pytest.raises(ValueError, match=f"the metrics table has a column '{name}' already"):
        MetricSpec(name, "A metric.", "m:f")


def test_code_is_named_by_module_and_attribute(site: Path) -> None:
    with pytest.raises(ValueError, match="not of the form 'module:attribute'"):
        AlgorithmSpec("x", "X.", "module.Client", "m:S")
    (site / "some_code.py").write_text("answer = 42\n")
    (site / "leaving_code.py").write_text("raise SystemExit(7)\n")
    with pytest.raises(InputError, match=r"\(leaving_code:x\) cannot be imported: SystemExit: 7"):
        resolve("leaving_code:x", owner="x")
    assert resolve("some_code:answer", owner="x") == 42
    with pytest.raises(InputError, match=r"The code of x \(some_code:question\) cannot be imp"):
        resolve("some_code:question", owner="x")
    with pytest.raises(InputError, match=r"\(no_such_code:x\) cannot be imported: ModuleNotFound"):
        resolve("no_such_code:x", owner="x")


def test_installed_plugins_load_without_torch_and_without_problems() -> None:
    code = (
        "import sys\n"
        "from pflbench.schema.plugins import installed\n"
        "registry = installed()\n"
        "assert not registry.problems, registry.problems\n"
        "assert registry.algorithms.entries and registry.datasets.entries\n"
        "heavy = {'torch', 'torchvision', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
