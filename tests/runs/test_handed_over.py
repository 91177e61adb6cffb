"""Classes, networks and metrics in place of names: the same numbers, and nothing is stored."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from small_federations import federation_of
from torch import Tensor, nn

import pflbench
from pflbench import param
from pflbench.errors import InputError
from pflbench.method import AveragingServer, Client
from pflbench.models import Mlp
from pflbench.models.networks import build_mlp
from pflbench.runs import RunRequest
from pflbench_algorithms.fedprox.client import FedProxClient

WORK: dict[str, Any] = {"rounds": 2, "lr": 0.05, "batch_size": 4, "device": "cpu"}


def mlp(shape: tuple[int, ...], classes: int) -> nn.Module:
    return build_mlp(Mlp(hidden=5), shape, classes)


def net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 3))


def sure(logits: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    return (logits.softmax(-1).amax(-1) * mask).sum() / mask.sum()


@dataclass(frozen=True)
class Other:
    """Parameters of a method of this test."""

    mu: float = param(0.1, "weight", ge=0)


def test_every_field_of_a_request_is_an_argument_with_its_default() -> None:
    arguments = inspect.signature(pflbench.run).parameters
    for field in dataclasses.fields(RunRequest):
        own = arguments[field.name]
        if field.name not in ("algorithm", "parameters"):
            assert own.default == field.default, field.name
        assert own.annotation, field.name


def test_objects_give_the_numbers_of_the_names() -> None:
    federation = federation_of()
    named = pflbench.run("fedprox(mu=0.1)", federation, model="mlp(hidden=5)", **WORK)
    given = pflbench.run(
        (FedProxClient, AveragingServer),
        federation,
        parameters={"mu": 0.1},
        model=mlp,
        metrics={"sure": sure},
        **WORK,
    )
    assert given.metrics["sure"].between(1 / 3, 1).all()
    pd.testing.assert_frame_equal(given.metrics.drop(columns="sure"), named.metrics)
    assert given.run_id != named.run_id
    assert given.cell["algorithm"] == {
        "name": "fed-prox",
        "parameters": {"mu": 0.1},
        "version": "handed over",
    }


def test_parameters_may_be_an_instance() -> None:
    result = pflbench.run(
        (FedProxClient, AveragingServer), federation_of(), parameters=Other(2), model=net, **WORK
    )
    assert result.cell["algorithm"]["parameters"] == {"mu": 2}


def test_a_network_begins_with_its_own_weights_and_keeps_them() -> None:
    network = net()
    before = [p.clone() for p in network.parameters()]
    ids = set()
    for seed in (0, 1):
        result = pflbench.run("local", federation_of(), model=network, seed=seed, **WORK)
        ids.add(result.run_id)
    assert len(ids) == 2
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_a_class_named_like_a_plugin_is_no_rival_of_it() -> None:
    class Fedavg(Client[Any]):
        """Has the name of an installed method."""

    given = pflbench.run((Fedavg, AveragingServer), federation_of(), model=net, **WORK)
    named = pflbench.run("fedavg", federation_of(), model=net, **WORK)
    assert given.cell["algorithm"]["name"] == named.cell["algorithm"]["name"] == "fedavg"
    assert given.run_id != named.run_id


@pytest.mark.parametrize(
    "given",
    [
        {"algorithm": (Client, AveragingServer)},
        {"model": net},
        {"model": net()},
        {"metrics": {"sure": sure}},
    ],
)
def test_what_has_no_name_is_not_stored(tmp_path: Path, given: dict[str, Any]) -> None:
    asked = {"algorithm": "local", "dataset": federation_of(), **WORK, **given}
    with pytest.raises(InputError, match="handed over: a stored run is found again by names"):
        pflbench.run(results=tmp_path / "results", **asked)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"algorithm": Client}, "the two classes"),
        ({"algorithm": (AveragingServer, Client)}, "client = .* expected a subclass"),
        ({"model": 5}, "expected a torch.nn.Module"),
        ({"model": lambda one: net()}, "needs other arguments"),
        ({"model": net, "head": "fc."}, "'fc.' of the model net is no prefix"),
        ({"model": "mlp", "head": "fc."}, "a model that is named has its own"),
        ({"metrics": {"loss": sure}}, "'loss' is no name for a metric"),
        ({"metrics": {"p_true": sure}}, "'p_true' is not a name for a metric"),
        ({"metrics": {"sure": 5}}, "expected a function"),
        ({"algorithm": (Client, AveragingServer), "parameters": {"mu": 1}}, "'mu'"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        pflbench.run(**{"algorithm": "local", "dataset": federation_of(), **WORK, **given})
