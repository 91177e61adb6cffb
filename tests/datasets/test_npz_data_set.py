"""A user's own arrays."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pflbench.errors import InputError
from pflbench.federation import ClientArrays, DataRequest, Pool, build
from pflbench_datasets.arrays import load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3, 4))
Y = np.arange(40) % 4
SPLIT_ARRAYS = {
    f"{kind}_{split}": array
    for split in ("train", "val", "test")
    for kind, array in (("x", X[:8].astype(np.float32)), ("y", Y[:8]))
}


def save(path: Path, **arrays: Any) -> DataRequest:
    np.savez(path, **arrays)
    return DataRequest("npz", path=path)


def pool_of(request: DataRequest) -> Pool:
    pool = load(request)
    assert isinstance(pool, Pool)
    return pool


def test_samples_and_labels(tmp_path: Path) -> None:
    pool = pool_of(save(tmp_path / "a.npz", x=X, y=Y.astype(np.uint8)))
    assert pool.train_x.shape == (32, 3, 4)
    assert pool.train_x.dtype == np.float32
    assert np.bincount(pool.test_y).tolist() == [2] * 4
    assert (pool.classes, pool.validation, pool.train_owner) == (4, 8, None)
    both = np.concatenate([pool.train_x, pool.test_x])
    np.testing.assert_array_equal(
        np.sort(both, axis=None), np.sort(X.astype(np.float32), axis=None)
    )
    rows = {row.tobytes(): label for row, label in zip(X.astype(np.float32), Y, strict=True)}
    for row, label in zip(pool.test_x, pool.test_y, strict=True):
        assert rows[row.tobytes()] == label


def test_bytes_stay_bytes(tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (40, 1, 5, 5), dtype=np.uint8)
    assert pool_of(save(tmp_path / "a.npz", x=x, y=Y)).train_x.dtype == np.uint8


@pytest.mark.parametrize("names", [[7, -2, 100], ["ann", "bob", "zoe"]], ids=["numbers", "texts"])
def test_clients_keep_their_samples(names: list[Any], tmp_path: Path) -> None:
    who = np.array(names)[np.arange(40) % 3]
    x = (np.arange(40) % 3)[:, None].astype(np.float32)  # each sample says whose it is
    pool = pool_of(save(tmp_path / "a.npz", x=x, y=Y, client=who))
    assert pool.train_owner is not None
    assert pool.test_owner is not None
    order = np.argsort(np.argsort(names))
    np.testing.assert_array_equal(order[pool.train_x[:, 0].astype(int)], pool.train_owner)
    np.testing.assert_array_equal(order[pool.test_x[:, 0].astype(int)], pool.test_owner)
    assert np.bincount(pool.test_owner).tolist() == [3, 3, 3]
    assert "3 clients" in pool.source


def test_a_folder_is_a_federation_as_it_is(tmp_path: Path) -> None:
    for i in (10, 2, 1):
        arrays = {**SPLIT_ARRAYS, "x_train": np.full((i, 3, 4), i, np.float32)}
        save(tmp_path / f"client_{i}.npz", **{**arrays, "y_train": np.arange(i) % 4})
    (tmp_path / "README.txt").write_text("not a client")
    (tmp_path / ".hidden.npz").write_text("not a client")
    data = load(DataRequest("npz", path=tmp_path))
    assert isinstance(data, ClientArrays)
    assert [len(client["train_y"]) for client in data.clients] == [1, 2, 10]
    assert data.classes == 4
    federation = build(data, None, None, 0)
    assert federation.train.sizes.tolist() == [1, 2, 10]
    assert federation.input_shape == (3, 4)
    assert float(federation.train.client(2)[0].mean()) == 10


OBJECTS = np.array([{"any": "thing"}] * 40)
WRONG = {
    "objects in x": ({"x": OBJECTS, "y": Y}, "x of .*Python objects, which are never unpickled"),
    "objects in y": ({"x": X, "y": OBJECTS}, "y of .*Python objects"),
    "objects in client": ({"x": X, "y": Y, "client": OBJECTS}, "client of .*Python objects"),
    "no y": ({"x": X}, "lacks y"),
    "no x": ({"y": Y}, "lacks x"),
    "typing error": ({"x": X, "y": Y, "clients": Y}, "'clients'.* Did you mean 'client'"),
    "a path": ({"x": X, "y": Y, "../../x": X}, "array '../../x'"),
    "lengths": ({"x": X, "y": Y[:39]}, "40 samples in x but 39 labels in y"),
    "client's length": ({"x": X, "y": Y, "client": Y[:9]}, "for each of the 40 samples"),
    "client's type": ({"x": X, "y": Y, "client": Y / 2}, "float64"),
    "negative": ({"x": X, "y": Y - 1}, "holds -1: labels are"),
    "from one": ({"x": X, "y": Y + 1}, "no label in .* is 0, but one is 4"),
    "a gap": ({"x": X, "y": Y * 2}, "no label in .* is 1, but one is 6"),
    "huge label": ({"x": X, "y": np.where(Y == 3, 2**63, Y.astype(np.uint64))}, "9223372036854"),
    "one class": ({"x": X, "y": Y * 0}, "two classes"),
    "labels are fractions": ({"x": X, "y": Y / 2}, "float64"),
    "one-hot labels": ({"x": X, "y": np.eye(4, dtype=int)[Y]}, r"shape \(40, 4\)"),
    "whole numbers": ({"x": X.astype(int), "y": Y}, "int64: expected uint8"),
    "text": ({"x": X.astype(str), "y": Y}, "expected uint8"),
    "complex": ({"x": X.astype(complex), "y": Y}, "complex128"),
    "not a number": ({"x": np.where(X > 2, np.nan, X), "y": Y}, "NaN"),
    "too large": ({"x": X * 1e300, "y": Y}, "too large for float32"),
    "flat": ({"x": X[:, 0, 0], "y": Y}, r"shape \(40,\)"),
    "empty": ({"x": X[:0], "y": Y[:0]}, "not empty"),
    "scalar": ({"x": np.float32(1), "y": Y}, r"shape \(\)"),
    "two samples": ({"x": X[:2], "y": Y[:2]}, "2 samples: at least 3"),
    "poor client": ({"x": X, "y": Y, "client": np.where(Y == 0, Y, 1) + (np.arange(40) == 5)},
                    "client 2 of .* has 1 samples"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_named(kind: str, tmp_path: Path) -> None:
    arrays, message = WRONG[kind]
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load(DataRequest("npz", path=path))
    assert "data.npz" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.npz"]


def npz_bytes(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def with_member(name: str, content: bytes) -> bytes:
    file = io.BytesIO(npz_bytes(y=Y))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


GOOD = npz_bytes(x=X, y=Y)
DAMAGED = {
    "truncated": GOOD[: len(GOOD) // 2],
    "empty": b"",
    "text": b"x,y\n1,2\n",
    "flipped": GOOD[:600] + bytes([GOOD[600] ^ 255]) + GOOD[601:],
    "a single array": npy_bytes(X),
    "a pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01x\x94.",
    "no array": with_member("x", b"hello"),
    "truncated array": with_member("x.npy", npy_bytes(X)[:-50]),
    "boundless array": with_member(
        "x.npy", npy_bytes(X).replace(b"(40, 3, 4)", b"(4000000000, 3, 4)")[:128] + bytes(80)
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(DAMAGED[kind])
    with pytest.raises(InputError, match=r"data\.npz"):
        load(DataRequest("npz", path=path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_val": None}, "lacks x_val"),
        ({"y_test": SPLIT_ARRAYS["y_test"][:3]}, "8 samples in x_test but 3 labels in y_test"),
        ({"x_test": X[:8, :2]}, r"x_test .* \(2, 4\), but x_train .* \(3, 4\)"),
        ({"x_train": np.zeros((8, 3, 4), np.uint8)}, "uint8"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "not empty"),
        ({"y_val": Y[:8] + 1}, "no label"),
        ({"x_valid": X}, "Did you mean 'x_val"),
        ({"x_train": OBJECTS}, "never unpickled"),
    ],
)
def test_a_client_that_does_not_fit_is_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save(tmp_path / "1.npz", **SPLIT_ARRAYS)
    if message == "no label":
        change = {name: array + 1 for name, array in SPLIT_ARRAYS.items() if name[0] == "y"}
        save(tmp_path / "1.npz", **{**SPLIT_ARRAYS, **change})
    arrays = {k: v for k, v in {**SPLIT_ARRAYS, **change}.items() if v is not None}
    save(tmp_path / "2.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load(DataRequest("npz", path=tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file or folder"):
        load(DataRequest("npz", path=tmp_path / "nowhere.npz"))
    with pytest.raises(InputError, match=r"holds no \.npz file"):
        load(DataRequest("npz", path=tmp_path))
    with pytest.raises(InputError, match="npz:PATH"):
        load(DataRequest("npz"))
