"""Federations from arrays in memory."""

import numpy as np
import pytest
import torch

from pflbench import Federation
from pflbench.errors import InputError
from pflbench.federation import SPLITS

RNG = np.random.default_rng(0)


def client(n: int = 6, shape: tuple[int, ...] = (2, 3), classes: int = 3) -> dict[str, np.ndarray]:
    sizes = {"train": n, "val": 2, "test": 4}
    return {f"{s}_x": RNG.normal(size=(m, *shape)) for s, m in sizes.items()} | {
        f"{s}_y": np.arange(m) % classes for s, m in sizes.items()
    }


def test_every_client_keeps_its_samples():
    clients = [client(5), client(1), client(9)]
    federation = Federation.from_arrays(clients)
    assert federation.clients == 3
    assert federation.classes == 3
    assert federation.input_shape == (2, 3)
    for i, own in enumerate(clients):
        for split in SPLITS:
            x, y = federation.split(split).client(i)
            assert x.dtype == torch.float32
            assert y.dtype == torch.int64
            assert np.array_equal(x.numpy(), own[f"{split}_x"].astype(np.float32))
            assert np.array_equal(y.numpy(), own[f"{split}_y"])


def test_torch_and_numpy_give_the_same_federation():
    clients = [client(), client()]
    tensors = [{name: torch.from_numpy(a) for name, a in own.items()} for own in clients]
    one, two = Federation.from_arrays(clients), Federation.from_arrays(tensors)
    assert one.fingerprint == two.fingerprint
    assert one.index_hashes == two.index_hashes
    assert torch.equal(one.train.x, two.train.x)


def test_later_changes_of_the_arrays_do_not_reach_it():
    for kind in (np.float32, np.uint8):
        own = {k: a.astype(kind) if k.endswith("x") else a for k, a in client().items()}
        federation = Federation.from_arrays([own])
        before = federation.train.x.clone()
        own["train_x"][:] = 1
        own["train_y"][:] = 0
        assert torch.equal(federation.train.x, before)
        assert federation.train.y.max() == 2


def test_bytes_are_scaled_to_0_1():
    own = {k: np.full(a.shape, 255, np.uint8) if k[-1] == "x" else a for k, a in client().items()}
    assert (Federation.from_arrays([own]).train.x == 1).all()


def test_the_fingerprint_follows_content_order_and_classes():
    a, b = client(), client()
    base = Federation.from_arrays([a, b], classes=3)
    assert Federation.from_arrays([a, b]).fingerprint == base.fingerprint
    moved = a | {"test_y": np.array([0, 1, 2, 1])}
    for other in (
        Federation.from_arrays([b, a]),
        Federation.from_arrays([a]),
        Federation.from_arrays([a, b], classes=4),
        Federation.from_arrays([moved, b]),
    ):
        assert other.fingerprint != base.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_z": np.ones(3)}, r"no array of client 1 'train_z'.*Did you mean"),
        ({"val_y": None}, "Client 1 lacks val_y"),
        ({"val_x": np.zeros((0, 2, 3)), "val_y": np.zeros(0, int)}, "val_x of client 1.*empty"),
        ({"val_x": np.zeros((2, 3, 2))}, r"samples of shape \(3, 2\), expected \(2, 3\)"),
        ({"val_x": np.zeros(2)}, "val_x of client 1 has shape .2,., expected .samples"),
        ({"val_x": [[1.0], [1.0, 2.0]]}, "val_x of client 1 is not an array"),
        ({"val_x": np.array([["a"], ["b"]])}, "values of type <U1, expected uint8"),
        ({"val_x": np.full((2, 2, 3), np.inf)}, "val_x of client 1 has values that are NaN"),
        ({"val_y": np.array([0, 3])}, "val_y of client 1 has the label 3, expected 0 to 2"),
        ({"val_y": np.array([0, -1])}, "label -1"),
        ({"val_y": np.array([0.0, 1.0])}, "expected whole numbers"),
        ({"val_y": np.array([[0], [1]])}, "expected one label for each of 2 samples"),
        ({"val_y": np.array([0, 1, 1])}, "expected one label for each of 2 samples"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    own = {name: a for name, a in (client() | change).items() if a is not None}
    with pytest.raises(InputError, match=message):
        Federation.from_arrays([client(), own], classes=3)


def test_a_negative_label_is_refused_where_the_number_of_classes_is_open():
    with pytest.raises(InputError, match="label -1, expected 0 or more"):
        Federation.from_arrays([client() | {"val_y": np.array([0, -1])}])


def test_no_clients_or_no_classes_are_refused():
    with pytest.raises(InputError, match="at least one client"):
        Federation.from_arrays([])
    with pytest.raises(InputError, match="0 classes"):
        Federation.from_arrays([client()], classes=0)


@pytest.mark.parametrize("kind", ["uint16", "int32", "int64"])
def test_tokens_stay_whole_numbers(kind: str) -> None:
    rng = np.random.default_rng(0)
    clients = [
        {
            name: rng.integers(0, 2 if name.endswith("y") else 70_000, shape).astype(
                np.int64 if name.endswith("y") else kind
            )
            for split in ("train", "val", "test")
            for name, shape in ((f"{split}_x", (4, 5)), (f"{split}_y", 4))
        }
        for _ in range(3)
    ]
    made = Federation.from_arrays(clients, 2)
    assert made.train.x.dtype == torch.int64
    assert made.train.x[4:8].numpy().tolist() == clients[1]["train_x"].tolist()
    assert made.train.only([2, 0]).x.dtype == torch.int64
    same = [{k: v.astype(np.int64) for k, v in client.items()} for client in clients]
    assert Federation.from_arrays(same, 2).fingerprint == made.fingerprint
    floats = [
        {k: v.astype(np.float32) if k[-1] == "x" else v for k, v in client.items()}
        for client in clients
    ]
    assert Federation.from_arrays(floats, 2).fingerprint != made.fingerprint
