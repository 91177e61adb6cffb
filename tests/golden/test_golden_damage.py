"""A damaged or incomplete recording is named with what is wrong with it."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_recordings import Arrays, load, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pflbench.conformance.golden import replay
from pflbench.errors import InputError
from pflbench.schema.plugins import installed

HERE = Path(__file__).parent


def refusal(name: str, path: Path) -> str:
    registry = installed()
    with pytest.raises(InputError) as caught:
        replay(registry.get(registry.algorithms, name), path)
    text = str(caught.value)
    assert text.count("\n") == 0
    assert str(path) in text
    return text


def without(*names: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {n: a for n, a in arrays.items() if n not in names}


def having(**changes: Any) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, **{n.replace("__", "/"): a for n, a in changes.items()}}


def configured(**changes: Any) -> Callable[[Arrays], Arrays]:
    def change(arrays: Arrays) -> Arrays:
        config = {**json.loads(str(arrays["config"])), **changes}
        return {**arrays, "config": np.array(json.dumps(config))}

    return change


def touched(name: str, value: float) -> Callable[[Arrays], Arrays]:
    def change(arrays: Arrays) -> Arrays:
        copy = arrays[name].copy()
        copy.reshape(-1)[0] = value
        return {**arrays, name: copy}

    return change


FEDORA = [
    (without("config"), "lacks 'config'"),
    (having(config=np.array("{")), "not JSON"),
    (having(config=np.array("[1]")), "not a JSON object"),
    (configured(clients=0), "clients = 0"),
    (configured(clients=7), "lacks 'client6/train_x'"),
    (configured(rounds=5), "expected (5, 6)"),
    (configured(rounds="four"), "rounds = 'four'"),
    (configured(lr=-1), "lr = -1"),
    (configured(alpha=1.5), "fedora.alpha = 1.5"),
    (configured(top_k="two"), "fedora.top_k = 'two'"),
    (configured(classes=11), "not those of a perceptron"),
    (without("client2/val_y"), "lacks 'client2/val_y'"),
    (without("batches/client5"), "lacks 'batches/client5'"),
    (touched("batches/client1", 1000), "'batches/client1' holds a number outside -1 to 23"),
    (touched("batches/client1", -1), "empty batch"),
    (touched("client3/train_y", 12), "label 12"),
    (touched("client0/train_x", np.nan), "not finite"),
    (touched("lambda", np.inf), "not finite"),
    (without("init/layer_hidden.bias"), "no partner 'layer_hidden.bias'"),
    (without("similarity_normalized"), "lacks 'similarity_normalized'"),
    (without("lambda"), "lacks 'lambda'"),
    (without("test_accuracy"), "neither 'test_accuracy' nor 'test_loss'"),
    (without("round3/local/layer_input.weight"), "lacks 'round3/local/layer_input.weight'"),
    (having(propagation=np.zeros((5, 6))), "expected (6, 6)"),
    (having(propagation=np.zeros((6, 6), complex)), "expected numbers"),
    (having(batches__client0=np.zeros((2, 2))), "expected whole numbers"),
]

PFEDHN = [
    (without("cohort"), "lacks 'cohort'"),
    (having(cohort=np.full((6, 1), 4)), "outside 0 to 3"),
    (having(cohort=np.zeros((6, 2), int)), "names a client twice"),
    (having(cohort=np.zeros((5, 1), int)), "5 rows for 6 rounds"),
    (configured(hidden_dim=9), "hidden_dim = 9"),
    (configured(spectral_norm=True), "spectral_norm = True"),
    (configured(server_lr=0), "pfedhn.lr = 0"),
    (without("init/hypernetwork/embeddings"), "lacks 'init/hypernetwork/embeddings'"),
    (without("final/hypernetwork/mlp.2.bias"), "lacks 'final/hypernetwork/mlp.2.bias'"),
    (without("init/hypernetwork/head.fc1.weight.bias"), "no partner"),
]


@pytest.mark.mostly_slow("lacks", "rounds", "alpha", "not JSON", "empty batch")
@pytest.mark.parametrize(("change", "message"), FEDORA, ids=[m for _, m in FEDORA])
def test_fedora(change: Callable[[Arrays], Arrays], message: str, tmp_path: Path) -> None:
    path = save(tmp_path / "recording.npz", change(load(HERE / "fedora.npz")))
    assert message in refusal("fedora", path)


@pytest.mark.mostly_slow("cohort", "twice", "embeddings")
@pytest.mark.parametrize(("change", "message"), PFEDHN, ids=[m for _, m in PFEDHN])
def test_pfedhn(change: Callable[[Arrays], Arrays], message: str, tmp_path: Path) -> None:
    path = save(tmp_path / "recording.npz", change(load(HERE / "pfedhn.npz")))
    assert message in refusal("pfedhn", path)


def test_the_other_methods_file() -> None:
    assert "lacks the initial model" in refusal("fedora", HERE / "pfedhn.npz")
    assert "lacks the heads" in refusal("pfedhn", HERE / "fedora.npz")


def test_a_method_without_replay() -> None:
    registry = installed()
    spec = registry.get(registry.algorithms, "local")
    with pytest.raises(InputError, match="has no recorded runs"):
        replay(spec, HERE / "fedora.npz")


def test_files_that_are_no_recording(tmp_path: Path) -> None:
    assert "does not exist" in refusal("fedora", tmp_path / "none.npz")
    (tmp_path / "empty.npz").touch()
    assert "not a recording: it is empty" in refusal("fedora", tmp_path / "empty.npz")
    (tmp_path / "text.npz").write_text("no archive")
    assert "text that begins with 'no archive'" in refusal("fedora", tmp_path / "text.npz")
    assert "is a folder" in refusal("fedora", tmp_path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    assert "a single NumPy array" in refusal("fedora", tmp_path / "one.npy")
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of the second name
        for _ in range(2):
            archive.writestr("config.npy", b"")
    assert "it holds several arrays 'config', expected one" in refusal(
        "fedora", tmp_path / "twice.npz"
    )


def test_no_message_advises_to_unpickle(tmp_path: Path) -> None:
    """numpy's own words do, of Python objects and of any file that is no archive."""
    np.savez(tmp_path / "pickled.npz", config=np.array([{}], dtype=object))
    (tmp_path / "pointer.npz").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "pickle.npz").write_bytes(b"\x80\x04N.")
    for name in ("pickled.npz", "pointer.npz", "pickle.npz"):
        said = refusal("fedora", tmp_path / name)
        assert not any(word in said for word in ("allow_pickle", "trust", "unsafe"))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_cut_or_flipped_byte_is_noticed_or_harmless(
    data: st.DataObject, tmp_path: Path
) -> None:
    """Never a traceback: an `InputError`, or a byte that no number depends on."""
    content = bytearray((HERE / "fedora.npz").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "damaged.npz"
    path.write_bytes(bytes(content))
    registry = installed()
    try:
        result = replay(registry.get(registry.algorithms, "fedora"), path)
    except InputError as error:
        named = str(path) in str(error)
    else:
        named = result.within(1e-5)
    assert named
