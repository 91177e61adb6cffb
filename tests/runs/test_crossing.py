"""What crosses between a method's code and the core is checked there, and the sentence names it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rude_plugins
import torch
from rude_plugins import Returning, Sending

import pflbench
from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.errors import PluginError
from pflbench.results import Store
from pflbench.runs import RunRequest, plan
from pflbench.schema.error_text import sentence

SHORT: dict[str, Any] = {"rounds": 2, "local_steps": 2, "eval_every": 1}

SENDS: dict[str, tuple[Callable[..., Any], str]] = {
    "twice the rows": (
        lambda w, k: {"model": w.expand(2 * k, -1)},
        r"'model' has shape \[10, .*: expected a row for each of 5 clients",
    ),
    "no rows": (lambda w, k: {"model": w.sum()}, r"has shape \[\]: expected a row for each of 5"),
    "numbers of Python": (lambda w, k: {"model": 0.0}, "of type float: expected a tensor"),
    "no dict": (lambda w, k: w.expand(k, -1), "of type Tensor: expected a dict of tensors"),
    "nothing": (lambda w, k: None, "of type NoneType: expected a dict"),
    "a name that is a number": (lambda w, k: {0: w.expand(k, -1)}, "no text: expected one"),
    "the meta device": (
        lambda w, k: {"model": w.expand(k, -1).to("meta")},
        "device meta: expected cpu",
    ),
    "complex numbers": (
        lambda w, k: {"model": w.expand(k, -1).to(torch.complex64)},
        "complex64: expected a dense tensor of real numbers",
    ),
    "a sparse tensor": (lambda w, k: {"model": w.expand(k, -1).to_sparse()}, "expected a dense"),
}


@pytest.fixture(params=["stacked", "sequential"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("case", SENDS)
def test_what_a_server_sends(
    case: str,
    algorithm: Callable[..., str],
    federation: Federation,
    results: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gives, words = SENDS[case]
    name = algorithm("pflbench.method:Client", "rude_plugins:Sending")
    monkeypatch.setattr(Sending, "sends", staticmethod(gives))
    with pytest.raises(PluginError, match=rf"'in-test' .*in send of round 1: .*{words}"):
        pflbench.run(name, federation, results=results, **SHORT)
    (run,) = Store(results).runs()
    assert run.status == "failed"
    monkeypatch.setattr(Sending, "sends", None)
    monkeypatch.setattr(Sending, "serves", staticmethod(gives))
    with pytest.raises(PluginError, match=rf"in serve: .*{words}"):
        pflbench.run(name, federation, **SHORT)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.bfloat16])
def test_a_model_of_another_type_is_not_rounded(
    dtype: torch.dtype,
    engine: str,
    algorithm: Callable[..., str],
    federation: Federation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = algorithm("pflbench.method:Client", "rude_plugins:Sending")
    gives = lambda w, k: {"model": w.to(dtype).expand(k, -1)}  # noqa: E731
    monkeypatch.setattr(Sending, "sends", staticmethod(gives))
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(
        PluginError, match=rf"'w' as start returned it is {kind} .*expected float32"
    ):
        pflbench.run(name, federation, engine=engine, **SHORT)


TELLS: dict[str, tuple[Callable[[int], Any], str]] = {
    "a measured column": (lambda r: {"steps": 0.0}, "'steps' is a column .* already"),
    "bytes": (lambda r: {"bytes_up": 1.0}, "'bytes_up' is a column"),
    "a text": (lambda r: {"mood": "good"}, "'mood' is 'good': expected a finite number or NaN"),
    "a tensor": (lambda r: {"norm": torch.ones(())}, "expected a finite number or NaN"),
    "infinity": (lambda r: {"norm": float("inf")}, "expected a finite number or NaN"),
    "no dict": (lambda r: 3, "of type int: expected a dict of numbers"),
    "other names": (
        lambda r: {f"norm{r}": 1.0},
        "in the telemetry of one round and not of another",
    ),
    "names later": (
        lambda r: {"norm": 1.0} if r else {},
        "in the telemetry of one round and not of another",
    ),
}


@pytest.mark.parametrize("case", TELLS)
def test_what_a_server_tells_of_itself(
    case: str,
    algorithm: Callable[..., str],
    federation: Federation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gives, words = TELLS[case]
    name = algorithm("pflbench.method:Client", "rude_plugins:Sending")
    monkeypatch.setattr(Sending, "tells", staticmethod(gives))
    with pytest.raises(PluginError, match=rf"in telemetry of round [12]: .*{words}"):
        pflbench.run(name, federation, **SHORT)


@pytest.mark.parametrize(
    ("place", "gives", "words"),
    [
        ("starts", lambda w: ({"v": w}, {}), "start returned no 'w'"),
        ("starts", lambda w: ({"w": w[:3]}, {}), r"'w' as start returned it is float32 \["),
        ("models", lambda w: w[:3], r"personal: the personal model is float32 \[5, 3\]"),
        ("models", lambda w: w.double(), "the personal model is float64"),
        ("finishes", lambda s, w: ({"new": w}, {"model": w}), "only finish returns 'new'"),
        ("finishes", lambda s, w: (s, {"model": w.to(torch.complex64)}), "of real numbers"),
    ],
)
def test_what_a_client_returns(
    place: str,
    gives: Any,
    words: str,
    engine: str,
    algorithm: Callable[..., str],
    federation: Federation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = algorithm("rude_plugins:Returning")
    monkeypatch.setattr(Returning, place, staticmethod(gives))
    with pytest.raises(PluginError, match=rf"'in-test' \(plugin in-test\), in .*{words}"):
        pflbench.run(name, federation, engine=engine, **SHORT)


def test_a_state_that_changes_its_type_or_loses_a_name(
    engine: str,
    algorithm: Callable[..., str],
    federation: Federation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = algorithm("rude_plugins:Returning")
    monkeypatch.setattr(Returning, "keeps", {"count": torch.zeros(())})
    for gives, words in (
        (lambda s, w: ({}, {"model": w}), "only initial_state returns 'count'"),
        (
            lambda s, w: ({"count": s["count"].double()}, {"model": w}),
            r"'count' is float64 \[\], and in initial_state float32 \[\]",
        ),
    ):
        monkeypatch.setattr(Returning, "finishes", staticmethod(gives))
        with pytest.raises(PluginError, match=words):
            pflbench.run(name, federation, engine=engine, **SHORT)


def test_clients_that_upload_unlike_things(
    algorithm: Callable[..., str], federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = algorithm("rude_plugins:Returning")
    calls: list[int] = []

    def gives(state: Any, w: torch.Tensor) -> Any:
        calls.append(0)
        return state, {"model": w if len(calls) > 1 else w[:2]}

    monkeypatch.setattr(Returning, "finishes", staticmethod(gives))
    with pytest.raises(PluginError, match=r"of one client and .* of another"):
        pflbench.run(name, federation, engine="sequential", **SHORT)


def test_a_client_sees_no_neighbour_through_the_memory_of_its_tensors(
    algorithm: Callable[..., str], federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = algorithm("rude_plugins:Returning")
    seen: list[torch.Tensor] = []

    def enrols(own: Any, data: Any) -> Any:
        seen.extend([data.train.x, data.train.y, data.val.x, data.val.y])
        return own

    def finishes(state: Any, w: torch.Tensor) -> Any:
        seen.append(state["mine"])
        return state, {"model": w}

    monkeypatch.setattr(Returning, "keeps", {"mine": torch.zeros(3)})
    monkeypatch.setattr(Returning, "enrols", staticmethod(enrols))
    monkeypatch.setattr(Returning, "finishes", staticmethod(finishes))
    pflbench.run(name, federation, engine="sequential", **SHORT)
    assert len(seen) == 5 * (4 + 2)
    for tensor in seen:
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def test_an_error_of_pytorch_over_what_a_plugin_gave_is_laid_to_the_plugin(
    algorithm: Callable[..., str], federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = algorithm("rude_plugins:Returning")
    gives = lambda s, w: (s, 3)  # noqa: E731
    monkeypatch.setattr(rude_plugins.Returning, "finishes", staticmethod(gives))
    with pytest.raises((ValueError, TypeError), match="vmap") as error:
        pflbench.run(name, federation, engine="stacked", **SHORT)
    said = sentence(error.value)
    assert "pflbench itself" not in said
    assert re.search(r"'in-test'", said)


KEEPS: dict[str, tuple[Callable[[], Any], str]] = {
    "a changed mode": (
        lambda: torch.set_float32_matmul_precision("medium") or {},
        "it set PyTorch's precision of matrix products",
    ),
    "an error": (lambda: {}["lost"], "KeyError: 'lost'"),
    "no tensor": (lambda: {"n": 3}, "'n' is of type int: expected a tensor"),
}


@pytest.mark.parametrize("place", ["state", "parts", "restore"])
@pytest.mark.parametrize("case", KEEPS)
def test_keeping_what_a_server_knows(
    case: str,
    place: str,
    algorithm: Callable[..., str],
    federation: Federation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gives, words = KEEPS[case]
    name = algorithm("pflbench.method:Client", "rude_plugins:Keeping")
    planned = plan(RunRequest(name, federation, **SHORT))
    sim = Simulation(
        planned.spec,
        None,
        federation,
        planned.module,
        planned.head,
        seed=0,
        optimiser=planned.optimiser,
        budget=planned.budget,
    )
    sim.enrol()
    kept = sim.state()
    monkeypatch.setattr(rude_plugins.Keeping, "how", {place: gives})
    calls = {
        "state": sim.state,
        "parts": lambda: list(sim.parts()),
        "restore": lambda: sim.restore(kept),
    }
    if (case, place) == ("no tensor", "restore"):
        calls[place]()  # nothing is given back
        return
    with pytest.raises((PluginError, KeyError)) as caught:
        calls[place]()
    assert re.search(rf"'in-test' .*{words}", sentence(caught.value))
    assert isinstance(caught.value, KeyError) or f"in {place}:" in str(caught.value)
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("half", ["ControlledClient", "CuriousClient"])
def test_a_message_of_rounds_that_others_are_not_given(
    half: str, engine: str, algorithm: Callable[..., str], federation: Federation
) -> None:
    name = algorithm(f"rude_plugins:{half}", "rude_plugins:Controlled")
    where = ("start", "onboard") if half == "ControlledClient" else ("personal", "serve")
    with pytest.raises(
        PluginError, match=f"{where[0]} reads 'control', which {where[1]} does not give"
    ):
        pflbench.run(name, federation, engine=engine, new_clients=0.2, **SHORT)
