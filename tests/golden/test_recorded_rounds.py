"""Methods give what other implementations gave, round by round."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_recordings import Arrays, load, mlp, save
from partial_recordings import Names, partial_recording
from torch import nn

from pflbench.conformance.golden import Recording, Replay, replay
from pflbench.errors import InputError
from pflbench.schema.plugins import installed

HERE = Path(__file__).parent
TOLERANCE = 1e-5
PASSED_ON = {"received", "local", "aggregated", "test_accuracy", "test_loss"}

TUNED = PASSED_ON | {"personal", "global/test_accuracy", "global/test_loss"}
CONTROLS = {"control", "server_control"}
OWN = PASSED_ON | {"personal"}
MIXED = {"local", "personal", "test_accuracy", "test_loss"}
GRAPH = MIXED | {"similarity", "graph", "local/test_accuracy", "local/test_loss"}
GLOBAL = {"global/test_accuracy", "global/test_loss"}
CLASSES = {"prototypes", "has_prototype", "client_prototypes", "has_client_prototype"}
PROTOTYPES = CLASSES | {"local", "test_accuracy", "test_loss", "prototype/test_accuracy"}
FACTS = {"variance", "class_features", "head_weights", "prototypes"}
HEADS = FACTS | {"local", "personal", "test_accuracy", "test_loss"}
NEAR = PASSED_ON | GLOBAL | {"knn", "grid/val_accuracy", "grid/test_accuracy"}
STARTS = {"initialised", "initialised/test_accuracy", "initialised/test_loss"}
WEIGHED = {"local", "test_accuracy", "test_loss", "raw_weights", "weights"} | STARTS
CHOSEN = (PASSED_ON | {"clusters", "cluster_losses"}) - {"received"}
SHARED_OUT = (PASSED_ON | {"mixture", "responsibilities"}) - {"received"}
SPLIT = MIXED | {"similarity", "mean_norm", "max_norm", "clusters"}

FILES = {
    "fedavg": ("fedavg", PASSED_ON),
    "fedprox": ("fedprox", PASSED_ON),
    "fedprox_momentum": ("fedprox", PASSED_ON),
    "fedper": ("fedper", PASSED_ON),
    "fedper_uniform": ("fedper", PASSED_ON),
    "fedrep": ("fedrep", PASSED_ON),
    "fedrep_samples": ("fedrep", PASSED_ON),
    "fedalt": ("fedalt", PASSED_ON),
    "fedsim": ("fedsim", PASSED_ON),
    "lg_fedavg": ("lg-fedavg", PASSED_ON),
    "lg_fedavg_uniform": ("lg-fedavg", PASSED_ON),
    "fedbabu": ("fedbabu", TUNED),
    "fedbabu_uniform": ("fedbabu", TUNED),
    "fedbn": ("fedbn", PASSED_ON),
    "fedbn_samples": ("fedbn", PASSED_ON),
    "fedrod": ("fedrod", PASSED_ON | {"personal"}),
    "knnper": ("knnper", NEAR),
    "fedproto": ("fedproto", PROTOTYPES),
    "fedpac": ("fedpac", HEADS),
    "scaffold": ("scaffold", PASSED_ON | CONTROLS),
    "scaffold_samples": ("scaffold", PASSED_ON | CONTROLS),
    "ditto": ("ditto", OWN),
    "ditto_samples": ("ditto", OWN),
    "feddyn": ("feddyn", PASSED_ON | {"memory"}),
    "feddyn_samples": ("feddyn", PASSED_ON | {"memory"}),
    "pfedme": ("pfedme", OWN),
    "pfedme_samples": ("pfedme", OWN),
    "perfedavg": ("perfedavg", OWN),
    "perfedavg_samples": ("perfedavg", OWN),
    "fedamp": ("fedamp", (PASSED_ON | {"attention"}) - {"aggregated"}),
    "fedala": ("fedala", OWN | STARTS | {"ala_weights", "ala_epochs"}),
    "fedfomo": ("fedfomo", WEIGHED),
    "fedfomo_l1": ("fedfomo", WEIGHED),
    "ifca": ("ifca", CHOSEN),
    "fedem": ("fedem", SHARED_OUT),
    "fedem_partial": ("fedem", SHARED_OUT),
    "cfl": ("cfl", SPLIT),
    "cfl_uniform": ("cfl", SPLIT),
    "apfl": ("apfl", OWN | {"alpha"}),
    "pfedgraph": ("pfedgraph", GRAPH),
    "pfedgraph_shipped": ("pfedgraph", GRAPH),
    "feddbe": ("feddbe", PASSED_ON | {"initial_means", "global_mean", "client_means"}),
    "apfl_parameters": ("apfl", OWN),
}
"""File to its method and the quantities that are compared."""
QUICK = ("fedavg", "fedprox", "fedper", "fedrep", "fedbn", "scaffold", "ditto", "pfedgraph", "ifca")
"""One of each kind: a mean, a proximal term, parts of a model, buffers, variates, two models."""


def replayed(name: str, path: Path, engine: str = "stacked") -> Replay:
    registry = installed()
    return replay(registry.get(registry.algorithms, name), path, engine)


@pytest.mark.mostly_slow(*(f"[{file}-stacked]" for file in QUICK))
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("file", FILES)
def test_a_recorded_run_is_replayed(file: str, engine: str) -> None:
    name, quantities = FILES[file]
    result = replayed(name, HERE / f"{file}.npz", engine)
    assert set(result.differences) == quantities
    others = ("/test_", "as_shipped/")  # runs of other variants
    assert all(any(other in left for other in others) for left in result.not_compared)
    assert result.within(TOLERANCE), result.differences


@pytest.mark.mostly_slow("fedrep")
@pytest.mark.parametrize(
    "file",
    [
        *("fedper", "fedrep", "lg_fedavg", "fedbabu", "fedbn", "ditto", "pfedme", "perfedavg"),
        *("ifca", "fedem", "fedalt", "fedsim"),
    ],
)
def test_the_other_weighting_is_noticed(file: str, tmp_path: Path) -> None:
    arrays = load(HERE / f"{file}.npz")
    config = json.loads(str(arrays["config"]))
    config["weighting"] = "samples" if config["weighting"] == "uniform" else "uniform"
    path = save(tmp_path / "other.npz", {**arrays, "config": np.array(json.dumps(config))})
    assert replayed(FILES[file][0], path).differences["aggregated"] > 1e-3


@pytest.mark.mostly_slow("fedproto")
@pytest.mark.parametrize(
    "file",
    [
        *("fedproto", "fedpac", "knnper", "fedala", "fedfomo", "ifca", "fedem", "cfl"),
        *("pfedgraph", "feddbe", "pfedme", "perfedavg"),
    ],
)
def test_what_may_be_missing_is_not_asked_for(file: str, tmp_path: Path) -> None:
    """Only data, batches, initial models, cohorts, parameters and one result are left."""
    arrays = load(HERE / f"{file}.npz")
    config = json.loads(str(arrays["config"]))
    method = FILES[file][0]
    implied = ("method", "source", "clients", "classes", "rounds", "batch_size", "hidden", "head")
    without = [name for name in ("momentum", "weight_decay") if not config[name]]
    config = {name: value for name, value in config.items() if name not in (*implied, *without)}
    needed = re.compile(r"client\d+/|batches/|init/|cohort$|downloads$|test_loss$")
    kept = {name: array for name, array in arrays.items() if needed.match(name)}
    kept["config"] = np.array(json.dumps(config))
    result = replayed(method, save(tmp_path / "bare.npz", kept))
    assert set(result.differences) == {"test_loss"}
    assert result.within(TOLERANCE), result.differences


def test_the_number_of_clients_is_that_of_their_data(tmp_path: Path) -> None:
    """Other names begin with "client", too."""
    arrays = load(HERE / "feddbe.npz")
    config = json.loads(str(arrays["config"]))
    del config["clients"]
    path = save(tmp_path / "bare.npz", {**arrays, "config": np.array(json.dumps(config))})
    assert Recording(path).clients == 6


def test_a_client_that_is_smaller_than_a_full_batch_keeps_its_model(tmp_path: Path) -> None:
    """Some code drops batches that are not full."""
    arrays = load(HERE / "fedproto.npz")
    config = {**json.loads(str(arrays["config"])), "rounds": 1}
    needed = re.compile(r"client\d+/|batches/|init/|round0/")
    kept = {name: array for name, array in arrays.items() if needed.match(name)}
    kept |= {"test_loss": arrays["test_loss"][:1], "config": np.array(json.dumps(config))}
    kept["batches/client2"] = np.zeros((0, 8), np.int64)
    for name in [name for name in kept if name.startswith("init/")]:
        local = f"round0/local/{name.removeprefix('init/')}"
        kept[local] = kept[local].copy()
        kept[local][2] = kept[name]
    result = replayed("fedproto", save(tmp_path / "small.npz", kept))
    assert result.differences["local"] <= TOLERANCE


def test_a_round_in_which_nobody_trains_is_refused(tmp_path: Path) -> None:
    arrays = load(HERE / "fedproto.npz")
    arrays |= {f"batches/client{k}": np.zeros((0, 8), np.int64) for k in range(6)}
    with pytest.raises(InputError, match="no client of a round has a batch"):
        replayed("fedproto", save(tmp_path / "idle.npz", arrays))


@pytest.mark.mostly_slow("local")
@pytest.mark.parametrize("quantity", ["received", "local", "aggregated"])
def test_a_perturbed_quantity_is_noticed(quantity: str, tmp_path: Path) -> None:
    arrays = load(HERE / "fedbn.npz")
    name = f"round1/{quantity}/layer_hidden.weight"
    changed = arrays[name].copy()
    changed.reshape(-1)[-1] += 1e-3
    path = save(tmp_path / "changed.npz", {**arrays, name: changed})
    assert replayed("fedbn", path).differences[quantity] > 9e-4


def test_another_methods_recording_is_refused(tmp_path: Path) -> None:
    arrays = load(HERE / "fedbn.npz")
    config = {**json.loads(str(arrays["config"])), "method": "ditto"}
    path = save(tmp_path / "other.npz", {**arrays, "config": np.array(json.dumps(config))})
    with pytest.raises(InputError, match="it is of the method 'ditto', expected 'fedbn'"):
        replayed("fedbn", path)


def test_a_shared_parameter_that_ours_keeps_is_refused(tmp_path: Path) -> None:
    arrays = load(HERE / "fedbn.npz")
    arrays["round0/received/bn1.weight"] = np.ones((5, 24), np.float32)
    path = save(tmp_path / "more.npz", arrays)
    with pytest.raises(InputError, match=r"'round0/received/bn1.weight' is recorded"):
        replayed("fedbn", path)


def test_a_network_of_unknown_layers_is_refused(tmp_path: Path) -> None:
    arrays = load(HERE / "fedbn.npz")
    config = json.loads(str(arrays["config"]))
    config["network"][1] = "mystery"
    path = save(tmp_path / "other.npz", {**arrays, "config": np.array(json.dumps(config))})
    with pytest.raises(InputError, match="The layer 'mystery' is not known"):
        replayed("fedbn", path)


def test_a_weighting_that_a_method_lacks_is_refused(tmp_path: Path) -> None:
    arrays = load(HERE / "fedavg.npz")
    config = {**json.loads(str(arrays["config"])), "weighting": "uniform"}
    path = save(tmp_path / "other.npz", {**arrays, "config": np.array(json.dumps(config))})
    with pytest.raises(InputError, match="weighting = 'uniform'"):
        replayed("fedavg", path)


def test_a_missing_stream_and_an_unknown_layer_are_named(tmp_path: Path) -> None:
    arrays = load(HERE / "fedalt.npz")
    short = {name: rows for name, rows in arrays.items() if not name.endswith("/personal")}
    with pytest.raises(InputError, match=r"short.npz .*no batches of the stream 'personal'"):
        replayed("fedalt", save(tmp_path / "short.npz", short))
    config = {**json.loads(str(arrays["config"])), "personal": "layer_outpt"}
    path = save(tmp_path / "typo.npz", {**arrays, "config": np.array(json.dumps(config))})
    with pytest.raises(InputError, match=r"'layer_outpt', expected .*layer_output"):
        replayed("fedalt", path)


def test_a_cohort_is_honoured(tmp_path: Path) -> None:
    """Two clients fewer in one round: that round's average and what follows differ."""
    arrays = load(HERE / "fedper.npz")
    short = {name: array for name, array in arrays.items() if not name.startswith("round")}
    short["cohort"] = np.tile(np.array([0, 2, 3, 5]), (4, 1))
    short["round0/aggregated/layer_input.weight"] = arrays["round0/aggregated/layer_input.weight"]
    for name in ("layer_input.bias", "layer_hidden.weight", "layer_hidden.bias"):
        short[f"round0/aggregated/{name}"] = arrays[f"round0/aggregated/{name}"]
    result = replayed("fedper", save(tmp_path / "short.npz", short))
    assert result.differences["aggregated"] > 1e-3


def network() -> nn.Module:
    torch.manual_seed(7)
    return mlp([6, 9, 8, 7, 4], ["first", "second", "third", "last"])


def head(name: str) -> bool:
    return name.startswith("last.")


def body(name: str) -> bool:
    return not head(name)


def network_layers(*layers: str) -> Names:
    return lambda name: name.rpartition(".")[0] in layers


def everything(name: str) -> bool:
    return True


def made(method: str) -> Arrays:
    """A few clients in every round, one of a single sample; momentum and decay; four layers."""
    if method == "fedrep":
        phases = [("head", head, 3), ("body", body, 2)]
        config = {"head_epochs": 3, "body_epochs": 2}
        return partial_recording(
            method, network(), private=head, phases=phases, uniform=True, **config
        )
    if method == "fedbabu":
        config = {"finetune_epochs": 2, "finetune_lr": 0.02, "finetune_momentum": 0.5}
        return partial_recording(
            method,
            network(),
            private=head,
            phases=[("", body, 2)],
            uniform=False,
            finetune=(2, 0.02, 0.5),
            **config,
        )
    together = [("", everything, 2)]
    if method in ("fedalt", "fedsim"):
        private = network_layers("first", "third")
        apart = [("personal", private, 3), ("shared", lambda name: not private(name), 2)]
        phases = apart if method == "fedalt" else together
        config = {"personal": "first+third"}
        return partial_recording(
            method, network(), private=private, phases=phases, uniform=True, **config
        )
    if method == "lg-fedavg":
        layers = ["third", "last"]
        return partial_recording(
            "lg_fedavg",
            network(),
            private=lambda name: name.rpartition(".")[0] not in layers,
            phases=together,
            uniform=False,
            global_layers=layers,
        )
    return partial_recording(method, network(), private=head, phases=together, uniform=False)


@pytest.mark.mostly_slow("stacked-fedrep")
@pytest.mark.parametrize("method", ["fedper", "fedrep", "lg-fedavg", "fedbabu", "fedalt", "fedsim"])
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_recordings_of_other_sizes_and_cohorts(method: str, engine: str, tmp_path: Path) -> None:
    result = replayed(method, save(tmp_path / "other.npz", made(method)), engine)
    assert set(result.differences) == PASSED_ON | {"personal"}
    assert result.not_compared == ()
    assert result.within(TOLERANCE), result.differences
