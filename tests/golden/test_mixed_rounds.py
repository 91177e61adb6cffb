"""Methods whose clients mix models replay recordings of other sizes, cohorts and optimisers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_recordings import load, mlp, save
from mixing_recordings import fedala_recording, fedfomo_recording
from torch import nn

from pflbench.conformance.golden import Replay, replay
from pflbench.errors import InputError
from pflbench.schema.plugins import installed

HERE = Path(__file__).parent
TOLERANCE = 1e-5


def replayed(name: str, path: Path, engine: str = "stacked") -> Replay:
    registry = installed()
    return replay(registry.get(registry.algorithms, name), path, engine)


def network() -> nn.Module:
    torch.manual_seed(7)
    return mlp([6, 9, 8, 4], ["first", "second", "last"])


@pytest.mark.parametrize(("engine", "norm"), [("stacked", "l2"), ("sequential", "l1")])
def test_fedfomo_with_a_part_of_the_clients_in_a_round(
    engine: str, norm: str, tmp_path: Path
) -> None:
    arrays = fedfomo_recording(network(), norm)
    assert ((arrays["weights"] > 0).sum(axis=2) > 1).any()
    assert (arrays["raw_weights"] < 0).any()
    result = replayed("fedfomo", save(tmp_path / "other.npz", arrays), engine)
    assert result.not_compared == ()
    assert {"weights", "raw_weights", "initialised", "local"} <= set(result.differences)
    assert result.within(TOLERANCE), result.differences


@pytest.mark.parametrize(
    ("change", "message"),
    [((1, 2, 0, 2), "client 2 download its own"), ((1, 2, 0, -1), "more clients for one client")],
)
def test_fedfomos_impossible_downloads_are_refused(
    change: tuple[int, int, int, int], message: str, tmp_path: Path
) -> None:
    arrays = load(HERE / "fedfomo.npz")
    r, k, m, value = change
    downloads = arrays["downloads"].copy()
    downloads[r, k, m] = value
    path = save(tmp_path / "changed.npz", {**arrays, "downloads": downloads})
    with pytest.raises(InputError, match=message):
        replayed("fedfomo", path)


def test_fedfomos_norm_is_noticed(tmp_path: Path) -> None:
    arrays = load(HERE / "fedfomo.npz")
    config = np.array(str(arrays["config"]).replace('"l2"', '"l1"'))
    path = save(tmp_path / "changed.npz", {**arrays, "config": config})
    assert replayed("fedfomo", path).differences["weights"] > 1e-3


@pytest.mark.parametrize(
    ("engine", "tensors", "uniform"), [("stacked", 3, True), ("sequential", 2, False)]
)
def test_fedala_with_a_part_of_the_clients_in_a_round(
    engine: str, tensors: int, uniform: bool, tmp_path: Path
) -> None:
    arrays = fedala_recording(network(), tensors, uniform=uniform)
    assert len(np.unique(arrays["ala_epochs"])) > 2
    result = replayed("fedala", save(tmp_path / "other.npz", arrays), engine)
    assert result.not_compared == ()
    assert {"ala_weights", "ala_epochs", "initialised"} <= set(result.differences)
    assert result.within(TOLERANCE), result.differences


def test_fedala_for_clients_that_do_not_train_is_refused(tmp_path: Path) -> None:
    arrays = fedala_recording(network(), 2, uniform=False)
    config = {**json.loads(str(arrays["config"])), "send": "all"}
    path = save(tmp_path / "all.npz", {**arrays, "config": np.array(json.dumps(config))})
    with pytest.raises(InputError, match="it sends the model to all clients"):
        replayed("fedala", path)
