"""A user's own arrays."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pflbench.errors import InputError
from pflbench.federation import ClientArrays, DataRequest, Pool, build
from pflbench.schema.error_text import plain
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
    "lengths": ({"x": X, "y": Y[:39]}, r"y of .* \(39,\), expected one label for each of 40"),
    "client's length": ({"x": X, "y": Y, "client": Y[:9]}, "for each of the 40 samples"),
    "client's type": ({"x": X, "y": Y, "client": Y / 2}, "float64"),
    "negative": ({"x": X, "y": Y - 1}, "has the label -1, expected 0 or more"),
    "from one": ({"x": X, "y": Y + 1}, "No label in .* is 0, but one is 4"),
    "a gap": ({"x": X, "y": Y * 2}, "No label in .* is 1, but one is 6"),
    "huge label": ({"x": X, "y": np.where(Y == 3, 2**63, Y.astype(np.uint64))}, "9223372036854"),
    "one class": ({"x": X, "y": Y * 0}, "two classes"),
    "labels are fractions": ({"x": X, "y": Y / 2}, "float64"),
    "one-hot labels": ({"x": X, "y": np.eye(4, dtype=int)[Y]}, r"\(40, 4\).* y.argmax\(axis=1\)"),
    "a column of labels": ({"x": X, "y": Y[:, None]}, r"\(40, 1\).* y.reshape\(-1\)"),
    "labels as text": ({"x": X, "y": Y.astype(str)}, "np.unique"),
    "labels as truth values": ({"x": X, "y": Y > 1}, r"bool.* y.astype\(np.int64\)"),
    "whole numbers": ({"x": X.astype(int), "y": Y}, r"int64, .* x.astype\(np.float32\)"),
    "text": ({"x": X.astype(str), "y": Y}, "expected uint8"),
    "complex": ({"x": X.astype(complex), "y": Y}, "complex128"),
    "not a number": ({"x": np.where(X > 2, np.nan, X), "y": Y}, "NaN"),
    "too large": ({"x": X * 1e300, "y": Y}, "infinite as float32"),
    "flat": ({"x": X[:, 0, 0], "y": Y}, r"shape \(40,\)"),
    "empty": ({"x": X[:0], "y": Y[:0]}, "it is empty"),
    "scalar": ({"x": np.float32(1), "y": Y}, r"shape \(\)"),
    "two samples": ({"x": X[:2], "y": Y[:2]}, "is 2, expected at least 3"),
    "poor client": (
        {"x": X, "y": Y, "client": np.where(Y == 0, Y, 1) + (np.arange(40) == 5)},
        "client 2 of .* has 1 sample:",
    ),
}


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


def twice(name: str) -> bytes:
    file = io.BytesIO(GOOD)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        warnings.simplefilter("ignore")  # that a name is there already is what is wanted
        archive.writestr(name, npy_bytes(X))
    return file.getvalue()


def with_header(header: bytes) -> bytes:
    length = len(header).to_bytes(2, "little")
    return with_member("x.npy", b"\x93NUMPY\1\0" + length + header + bytes(80))


OTHER = {
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    "JSON": (b'{"users": ["f0"], "num_samples": [3]}', r"JSON that begins with '\{\"users"),
    "CSV": (b"x,y\n1,2\n", "text, perhaps CSV, that begins with 'x,y'"),
    "marked text": ("\ufeffname\n".encode(), "text that begins with 'name'"),
    "long text": (b"word " * 500, "text that begins with 'word word"),
    "a page": (b"<!DOCTYPE html><html>", "a web page"),
    "controls": (b"\x1b[31mred\n", "text that begins with '.\\[31mred'"),
    "latin-1": ("Zürich".encode("latin-1"), "of an unknown kind .it begins with the bytes 5a fc"),
    "a pickle": (b"\x80\x04\x95\x05\0\0\0\0\0\0\0\x8c\x01x\x94.", "a Python pickle"),
    "a single array": (npy_bytes(X), "a single NumPy array"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "empty": (b"", "empty"),
    "truncated": (GOOD[: len(GOOD) // 2], "a damaged or truncated zip archive"),
    "an array twice": (twice("x.npy"), "several arrays 'x'"),
    "an array by two names": (twice("x"), "several arrays 'x'"),
    "a long header": (with_header(b"{" + b" " * 20_000 + b"}"), "x of .* is damaged"),
    "no header": (with_header(b"{'descr': '<f8', 'shape': (2"), "x of .* is damaged"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_a_file_of_another_kind_is_called_what_it_is(kind: str, tmp_path: Path) -> None:
    """numpy takes any other file for a pickle, and advises to trust it."""
    content, message = OTHER[kind]
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load(DataRequest("npz", path=path))
    said = str(caught.value)
    assert "data.npz" in said
    assert not any(word in said for word in ("allow_pickle", "trust", "unsafe", "\n"))
    assert not said.endswith("..")
    assert plain(said) == said


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_files_are_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(DAMAGED[kind])
    with pytest.raises(InputError, match=r"data\.npz"):
        load(DataRequest("npz", path=path))


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["1", "10", "2", "12"], ["1", "2", "10", "12"]),
        (["site b 10", "site b 9", "site a 11"], ["site a 11", "site b 9", "site b 10"]),
        ([10, 9, -3], ["-3", "9", "10"]),
        ([b"caf\xe9", b"bar", b"10", b"9"], ["9", "10", "bar", "caf\\xe9"]),
    ],
    ids=["digits", "texts", "numbers", "bytes"],
)
def test_clients_keep_their_names_in_natural_order(
    names: list[Any], order: list[str], tmp_path: Path
) -> None:
    who = np.array(names)[np.arange(40) % len(names)]
    x = (np.arange(40) % len(names))[:, None].astype(np.float32)
    pool = pool_of(save(tmp_path / "a.npz", x=x, y=Y, client=who))
    assert pool.client_names == tuple(order)
    assert pool.train_owner is not None
    texts = [
        n.decode("utf-8", "backslashreplace") if isinstance(n, bytes) else str(n) for n in names
    ]
    for (whose,), number in zip(pool.train_x, pool.train_owner, strict=True):
        assert order[number] == texts[int(whose)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_val": None}, "holds one of x_val and y_val"),
        ({"y_test": SPLIT_ARRAYS["y_test"][:3]}, r"y_test of .*2.npz .* for each of 8"),
        ({"x_test": X[:8, :2]}, r"x_test of .*2.npz .* \(3, 4\) as in x_train of .*1.npz"),
        ({"x_train": np.zeros((8, 3, 4), np.uint8)}, "uint8, but x_train of .*1.npz of float32"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "it is empty"),
        ({"y_val": Y[:8] + 1}, "No label"),
        ({"x_valid": X}, "Did you mean 'x_val"),
        ({"x_train": OBJECTS}, "never unpickled"),
    ],
)
def test_a_client_that_does_not_fit_is_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save(tmp_path / "1.npz", **SPLIT_ARRAYS)
    if message == "No label":
        change = {name: array + 1 for name, array in SPLIT_ARRAYS.items() if name[0] == "y"}
        save(tmp_path / "1.npz", **{**SPLIT_ARRAYS, **change})
    arrays = {k: v for k, v in {**SPLIT_ARRAYS, **change}.items() if v is not None}
    save(tmp_path / "2.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        load(DataRequest("npz", path=tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load(DataRequest("npz", path=tmp_path / "nowhere.npz"))
    with pytest.raises(InputError, match=r"holds no \.npz file"):
        load(DataRequest("npz", path=tmp_path))
    with pytest.raises(InputError, match="npz:PATH"):
        load(DataRequest("npz"))
