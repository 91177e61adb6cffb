"""A cell's numbers follow from its own identity alone, whatever other plugins or users set."""

from __future__ import annotations

import dataclasses
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rude_plugins
import torch

import pflbench
from pflbench import (
    AlgorithmSpec,
    Federation,
    ModelSpec,
    ParticipationSpec,
    PartitionerSpec,
    PopulationSpec,
)
from pflbench.ending import unending
from pflbench.errors import ImportChangesError, PluginError
from pflbench.isolation import put, read
from pflbench.models import Mlp
from pflbench.results import Store
from pflbench.runs import RunRequest, plan
from pflbench.schema.error_text import sentence

SHORT: dict[str, Any] = {"rounds": 2, "local_steps": 2, "eval_every": 1}

HELD = ExitStack()  # never left

CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "default type": (lambda: torch.set_default_dtype(torch.float64), "default type"),
    "default device": (lambda: torch.set_default_device("meta"), "default device"),
    "gradients": (lambda: torch.set_grad_enabled(False), "whether gradients are computed"),
    "inference mode": (lambda: HELD.enter_context(torch.inference_mode()), "inference mode"),
    "determinism": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        "deterministic algorithms",
    ),
    "threads": (lambda: torch.set_num_threads(3), "number of threads"),
    "matrix products": (
        lambda: torch.set_float32_matmul_precision("medium"),
        "precision of matrix products",
    ),
    "anomalies": (lambda: torch.autograd.set_detect_anomaly(True), "detection of anomalies"),
    "autocast": (lambda: torch.set_autocast_enabled("cpu", True), "autocast on cpu"),
    "cudnn": (lambda: setattr(torch.backends.cudnn, "benchmark", True), "cudnn.benchmark"),
    "denormal numbers": (lambda: torch.set_flush_denormal(True), "next to zero"),
    "numpy": (lambda: np.seterr(all="raise"), "NumPy's treatment"),
}


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave nothing changed for other tests, should a test fail."""
    before = read()
    yield
    assert put(before) == ""


@pytest.fixture
def plain(federation: Federation) -> Any:
    return pflbench.run("fedavg", federation, **SHORT).metrics


@pytest.mark.mostly_slow("default type", "threads", "[numpy")
@pytest.mark.parametrize("change", CHANGES)
def test_a_plugin_that_changes_what_all_share_fails_its_own_cell_and_is_named(
    change: str,
    algorithm: Callable[..., str],
    federation: Federation,
    results: Path,
    plain: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how, words = CHANGES[change]
    name = algorithm("pflbench.method:Client", "rude_plugins:Changing")
    monkeypatch.setattr(rude_plugins.Changing, "how", staticmethod(how))
    with pytest.raises(PluginError, match=rf"'in-test' .*aggregate of round 1: .*{words}"):
        pflbench.run(name, federation, results=results, **SHORT)
    (run,) = Store(results).runs()
    assert run.status == "failed"
    assert run.failure is not None
    assert words in str(run.failure["message"])
    assert pflbench.run("fedavg", federation, **SHORT).metrics.equals(plain)


def test_a_change_in_a_thread_of_a_shared_out_cohort_is_found(
    algorithm: Callable[..., str], federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pflbench.engine.threads.WORTH_A_CORE", 0)
    torch.set_num_threads(2)
    try:
        name = algorithm("rude_plugins:ChangingClient")
        for engine in ("sequential", "stacked"):
            with pytest.raises(PluginError, match=r"local training of round 1: .*gradients"):
                pflbench.run(name, federation, engine=engine, **SHORT)
    finally:
        torch.set_num_threads(1)


def test_what_the_user_set_changes_no_number_and_is_as_it_was_afterwards(
    federation: Federation, plain: Any
) -> None:
    before = read()
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    np.seterr(all="raise")
    own = read()
    try:
        assert pflbench.run("fedavg", federation, **SHORT).metrics.equals(plain)
        with torch.inference_mode():
            assert pflbench.run("fedavg", federation, **SHORT).metrics.equals(plain)
        assert read() == own
    finally:
        put(before)


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write a module that does something when it is imported, and bring a method with it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written = []

    def write(name: str, code: str) -> str:
        (tmp_path / f"{name}.py").write_text(
            "import torch, warnings\nimport numpy as np\nfrom pflbench.method import *\n"
            f"{code}\nclass C(Client): pass\nclass S(AveragingServer): pass\n"
        )
        written.append(name)
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_a_module_that_changes_what_all_share_when_imported_fails_its_own_cells_alone(
    importable: Callable[..., str], plugin: Callable[..., None], federation: Federation, plain: Any
) -> None:
    module = importable("widening", "torch.set_default_dtype(torch.float64)")
    plugin(algorithms=[AlgorithmSpec("in-test", "x", f"{module}:C", f"{module}:S")])
    planned = plan(RunRequest("in-test", federation, **SHORT))  # imports it
    assert torch.get_default_dtype() == torch.float32
    assert planned.cell.id
    assert pflbench.run("fedavg", federation, **SHORT).metrics.equals(plain)
    for _ in range(2):  # it is remembered: a module is imported once
        with pytest.raises(ImportChangesError, match=r"algorithm 'in-test' \(widening\).*type"):
            pflbench.run("in-test", federation, **SHORT)


def test_filters_of_warnings_for_everything_are_dropped_after_an_import(
    importable: Callable[..., str], plugin: Callable[..., None], federation: Federation
) -> None:
    code = "warnings.simplefilter('error')\nwarnings.filterwarnings('ignore', message='mine')"
    module = importable("strict", code)
    plugin(algorithms=[AlgorithmSpec("in-test", "x", f"{module}:C", f"{module}:S")])
    with warnings.catch_warnings():
        pflbench.run("in-test", federation, **SHORT)
        assert ("error", None, Warning, None, 0) not in warnings.filters


def test_a_model_that_changes_what_all_share_is_refused_by_name(
    plugin: Callable[..., None], federation: Federation
) -> None:
    plugin(models=[ModelSpec("wide", "x", "rude_plugins:build_in_float64", "layer_output.", Mlp)])
    with pytest.raises(PluginError, match=r"The model 'wide' \(plugin in-test\), in build: .*type"):
        plan(RunRequest("fedavg", federation, model="wide", **SHORT))
    assert torch.get_default_dtype() == torch.float32


def test_who_draws_from_shared_generators_gets_the_same_numbers_at_every_try(
    algorithm: Callable[..., str], federation: Federation
) -> None:
    name = algorithm("pflbench.method:Client", "rude_plugins:Drawing")
    runs = []
    for number in (1, 2):
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        state = torch.get_rng_state()
        runs.append(pflbench.run(name, federation, **SHORT).metrics)
        assert torch.equal(torch.get_rng_state(), state)
    assert runs[0].equals(runs[1])
    assert not runs[0].equals(pflbench.run(name, federation, seed=1, **SHORT).metrics)


@pytest.mark.parametrize("how", ["_exit", "execv"])
def test_a_plugin_that_ends_the_process_fails_its_cell(
    how: str,
    algorithm: Callable[..., str],
    federation: Federation,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = os._exit
    monkeypatch.setattr(rude_plugins.Ending, "how", how)
    name = algorithm("pflbench.method:Client", "rude_plugins:Ending")
    with pytest.raises(PluginError, match=f"os.{how}, which would end the process"):
        pflbench.run(name, federation, results=results, **SHORT)
    (run,) = Store(results).runs()
    assert run.status == "failed"
    assert os._exit is before


def test_a_forked_child_may_end_as_it_likes(federation: Federation) -> None:
    with unending():
        child = os.fork()
        if not child:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("partition", PartitionerSpec),
        ("population", PopulationSpec),
        ("participation", ParticipationSpec),
    ],
)
def test_a_plugin_that_is_rude_when_it_is_constructed_is_named(
    kind: str, record: type[Any], plugin: Callable[..., None], digits: str
) -> None:
    shelf = "partitioners" if kind == "partition" else f"{kind}s"
    spec = record("rude", "of a test", make="rude_plugins:make_by_changing")
    plugin(**{shelf: [spec]})
    options: dict[str, Any] = {"clients": 3, kind: "rude", **SHORT}
    with pytest.raises(
        PluginError, match=r"'rude' \(plugin in-test\), in its construction: it set"
    ):
        pflbench.run("local", digits, **options)
    plugin(**{shelf: [dataclasses.replace(spec, make="rude_plugins:make_by_failing")]})
    with pytest.raises(KeyError) as caught:
        pflbench.run("local", digits, **options)
    assert "'rude' (plugin in-test)" in sentence(caught.value)
