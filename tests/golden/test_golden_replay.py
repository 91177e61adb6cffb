"""Our methods give what the official implementations gave, and other sizes work as well."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from golden_recordings import Arrays, fedora_recording, lenet, load, mlp, pfedhn_recording, save

from pflbench.conformance.golden import Replay, replay
from pflbench.schema.plugins import installed

HERE = Path(__file__).parent
ENGINES = ("stacked", "sequential")
TOLERANCE = 1e-5

QUANTITIES = {
    "fedora": {
        "similarity_normalized",
        "propagation",
        "lambda",
        "received",
        "local",
        "test_accuracy",
    },
    "pfedhn": {
        "test_loss",
        "final/hypernetwork/embeddings",
        "final/hypernetwork/mlp",
        "final/hypernetwork/head",
    },
}


def replayed(name: str, path: Path, engine: str = "auto") -> Replay:
    registry = installed()
    return replay(registry.get(registry.algorithms, name), path, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["fedora", "pfedhn"])
def test_official_runs(name: str, engine: str) -> None:
    result = replayed(name, HERE / f"{name}.npz", engine)
    assert set(result.differences) == QUANTITIES[name]
    assert result.not_compared == ()
    assert max(result.differences.values()) <= TOLERANCE
    assert result.within(TOLERANCE)
    assert not result.within(0.0)


PERTURBED = {
    "fedora": (
        ("similarity_normalized", "similarity_normalized"),
        ("propagation", "propagation"),
        ("lambda", "lambda"),
        ("round2/received/layer_hidden.weight", "received"),
        ("round3/local/layer_output.bias", "local"),
        ("test_accuracy", "test_accuracy"),
    ),
    "pfedhn": (
        ("test_loss", "test_loss"),
        ("final/hypernetwork/embeddings", "final/hypernetwork/embeddings"),
        ("final/hypernetwork/mlp.2.bias", "final/hypernetwork/mlp"),
        ("final/hypernetwork/head.fc3.bias.weight", "final/hypernetwork/head"),
    ),
}
CASES = [(name, *case) for name, cases in PERTURBED.items() for case in cases]


@pytest.mark.mostly_slow("test_loss", "lambda")
@pytest.mark.parametrize(("name", "array", "quantity"), CASES)
def test_a_perturbed_recording_fails(name: str, array: str, quantity: str, tmp_path: Path) -> None:
    arrays = load(HERE / f"{name}.npz")
    changed = arrays[array].copy()
    changed.reshape(-1)[-1] += 1e-3
    size = max(1.0, float(np.abs(changed.reshape(-1)[-1])))
    result = replayed(name, save(tmp_path / "changed.npz", {**arrays, array: changed}))
    assert result.differences[quantity] == pytest.approx(1e-3 / size, rel=0.05)
    assert not result.within(TOLERANCE)
    others = {n: gap for n, gap in result.differences.items() if n != quantity}
    assert max(others.values()) <= TOLERANCE


@pytest.mark.mostly_slow("stacked")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("key", "value", "quantity"),
    [("alpha", 0.7, "propagation"), ("lr", 0.19, "local"), ("temperature", 9, "lambda")],
)
def test_another_config_fails(
    key: str, value: float, quantity: str, engine: str, tmp_path: Path
) -> None:
    arrays = load(HERE / "fedora.npz")
    config = {**json.loads(str(arrays["config"])), key: value}
    path = save(tmp_path / "changed.npz", {**arrays, "config": np.array(json.dumps(config))})
    assert replayed("fedora", path, engine).differences[quantity] > 1e-3


def fedora_of_other_sizes() -> Arrays:
    return fedora_recording(
        mlp([24, 9, 9, 6, 5], ["first", "second", "third", "last"]),
        sizes=[14, 11, 9, 3, 16, 12, 1, 10, 13],
        shape=(2, 3, 4),
        classes=5,
        rounds=5,
        batch_size=5,
        epochs=2,
        lr=0.05,
        momentum=0.8,
        weight_decay=1e-3,
        alpha=0.6,
        top_k=3,
        q=2,
        temperature=4.0,
    )


def fedora_with_a_lenet() -> Arrays:
    return fedora_recording(
        lenet(1, 2, 4, 3),
        sizes=[8, 5, 7],
        shape=(1, 16, 16),
        classes=3,
        rounds=2,
        batch_size=4,
        epochs=1,
        lr=0.02,
        momentum=0.0,
        weight_decay=0.0,
        alpha=0.9,
        top_k=1,
        q=1,
        temperature=10.0,
    )


def pfedhn_with_an_mlp() -> Arrays:
    return pfedhn_recording(
        mlp([15, 7, 4], ["layer_input", "layer_output"]),
        sizes=[9, 6, 2, 11, 7],
        shape=(15,),
        classes=4,
        cohorts=[[3, 1], [0, 4], [1, 2], [2, 0], [3, 4]],
        batch_size=4,
        epochs=2,
        lr=0.05,
        clip_norm=0.8,
        server_clip_norm=0.3,
        server_lr=0.05,
        hidden=6,
        n_hidden=1,
        embedding_dim=4,
    )


def pfedhn_with_a_lenet() -> Arrays:
    return pfedhn_recording(
        lenet(2, 3, 6, 3),
        sizes=[6, 5, 4],
        shape=(2, 18, 16),
        classes=3,
        cohorts=[[2], [0], [2]],
        batch_size=3,
        epochs=1,
        lr=0.01,
        clip_norm=50.0,
        server_clip_norm=50.0,
        server_lr=0.01,
        hidden=5,
        n_hidden=0,
        embedding_dim=2,
    )


@pytest.mark.mostly_slow("lenet-stacked", "mlp-stacked")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("fedora", fedora_of_other_sizes),
        ("fedora", fedora_with_a_lenet),
        ("pfedhn", pfedhn_with_an_mlp),
        ("pfedhn", pfedhn_with_a_lenet),
    ],
)
def test_recordings_of_other_sizes(name: str, make: object, engine: str, tmp_path: Path) -> None:
    assert callable(make)
    path = save(tmp_path / "other.npz", make())
    result = replayed(name, path, engine)
    assert set(result.differences) == QUANTITIES[name] | {"test_loss", "test_accuracy"}
    assert result.not_compared == ()
    assert max(result.differences.values()) <= TOLERANCE, result.differences


@pytest.mark.slow
def test_the_recordings_made_here_exercise_the_rule() -> None:
    """Otherwise the test above would say little."""
    fedora = fedora_of_other_sizes()
    assert (fedora["lambda"][1:] == 0).any()
    assert (fedora["lambda"][1:] > 1).any()
    assert ((fedora["similarity_normalized"] > 0).sum(axis=1) == 3).all()
    hn = pfedhn_with_an_mlp()
    unclipped = np.abs(hn["final/hypernetwork/mlp.0.weight"] - hn["init/hypernetwork/mlp.0.weight"])
    assert unclipped.max() > 1e-3


def test_layers_in_any_order(tmp_path: Path) -> None:
    arrays = load(HERE / "fedora.npz")
    turned = {name: arrays[name] for name in reversed(arrays)}
    result = replayed("fedora", save(tmp_path / "turned.npz", turned))
    assert result.within(TOLERANCE)


def test_absent_config_takes_the_defaults(tmp_path: Path) -> None:
    """The file was recorded with the documented defaults of these keys."""
    arrays = load(HERE / "fedora.npz")
    config = json.loads(str(arrays["config"]))
    dropped = ("alpha", "top_k", "subspace_dim", "temperature", "momentum", "weight_decay")
    inferred = ("clients", "classes", "rounds", "batch_size", "local_epochs", "hidden", "seed")
    kept = {k: v for k, v in config.items() if k not in (*dropped, *inferred)}
    path = save(tmp_path / "bare.npz", {**arrays, "config": np.array(json.dumps(kept))})
    assert replayed("fedora", path).within(TOLERANCE)


def test_what_nobody_knows_is_named(tmp_path: Path) -> None:
    arrays = load(HERE / "fedora.npz")
    config = {**json.loads(str(arrays["config"])), "dropout": 0.5}
    arrays |= {"config": np.array(json.dumps(config)), "gradient_norm": np.zeros((4, 6))}
    arrays["round9/local/layer_output.bias"] = np.zeros((6, 10), np.float32)
    result = replayed("fedora", save(tmp_path / "more.npz", arrays))
    assert set(result.not_compared) == {
        "gradient_norm",
        "round9/local/layer_output.bias",
        "config: dropout",
    }
