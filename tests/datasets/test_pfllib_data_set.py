"""Folders of PFLlib: read as they are, and hostile or damaged ones refused."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pfllib_files import NEW, OLD, archive, pickled, write_folder, zipped

from pflbench.errors import InputError, UnknownNameError
from pflbench.federation import ClientArrays, DataRequest, build
from pflbench.schema.plugins import Registry
from pflbench_datasets import imagefolder, npz, pfllib
from pflbench_datasets.pfllib_folder import load

RNG = np.random.default_rng(0)


def images(n: int) -> tuple[np.ndarray, np.ndarray]:
    return RNG.normal(size=(n, 1, 4, 4)).astype(np.float32), np.arange(n) % 3


CLIENTS = [{"train": images(8 + i), "test": images(3 + i)} for i in range(11)]
CONFIG = {"num_clients": 11, "num_classes": 5, "non_iid": True, "partition": "dir", "alpha": 0.1}


def load_from(root: Path) -> ClientArrays:
    return load(DataRequest("pfllib", path=root))


def refused(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_from(root)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("pfllib: ")
    return str(caught.value)


def test_clients_with_their_samples_stay_as_they_are(tmp_path: Path) -> None:
    data = load_from(write_folder(tmp_path, CLIENTS, CONFIG))
    assert data.names == tuple(str(i) for i in range(11))  # 10 after 9
    assert data.classes == 5
    assert "No client has a validation split: a quarter" in data.remark
    federation = build(data, None, None, 0)
    for i, own in enumerate(CLIENTS):
        x, y = federation.test.client(i)
        np.testing.assert_array_equal(x.numpy(), own["test"][0])
        np.testing.assert_array_equal(y.numpy(), own["test"][1])
        parts = [federation.train.client(i)[0], federation.val.client(i)[0]]
        assert [len(part) for part in parts] == [8 + i - (8 + i) // 4, (8 + i) // 4]
        ours = np.sort(np.concatenate([part.numpy().reshape(-1) for part in parts]))
        np.testing.assert_array_equal(ours, np.sort(own["train"][0].reshape(-1)))


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("module", [OLD, NEW])
def test_files_of_every_numpy_are_read(protocol: int, module: bytes, tmp_path: Path) -> None:
    if protocol == 4 and module == OLD:
        pytest.skip("NumPy 1 writes protocol 3")
    write_folder(tmp_path, CLIENTS[:2])
    x, y = images(9)
    columns = np.asfortranarray(x)
    content = {"x": columns, "y": y.astype(">i4")}
    (tmp_path / "train" / "1.npz").write_bytes(archive(content, protocol=protocol, module=module))
    own = load_from(tmp_path).clients[1]
    together = np.concatenate([own["train_x"], own["val_x"]])
    assert sorted(together[:, 0, 1, 2]) == sorted(x[:, 0, 1, 2])


def test_texts_are_their_tokens(tmp_path: Path) -> None:
    texts = [[int(t) for t in RNG.integers(0, 99, 6)] for _ in range(8)]
    pairs = np.array([(text, len(text)) for text in texts], dtype=object)
    y = np.arange(8) % 2
    client = {"train": (pairs, y), "test": (pairs[:2], y[:2])}
    federation = build(load_from(write_folder(tmp_path, [client])), None, None, 0)
    assert federation.test.x.dtype.is_floating_point is False
    assert federation.test.x.tolist() == texts[:2]


def test_characters_are_tokens(tmp_path: Path) -> None:
    x, y = RNG.integers(0, 80, (8, 12)), np.arange(8) % 2
    client = {"train": (x, y), "test": (x[:2], y[:2])}
    federation = build(load_from(write_folder(tmp_path, [client])), None, None, 0)
    assert federation.test.x.tolist() == x[:2].tolist()


class Payload:
    """Makes a file if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_payload_is_not_run(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", CLIENTS[:2])
    mark = tmp_path / "ran"
    for payload in ({"x": Payload(mark), "y": [0]}, Payload(mark)):
        (tmp_path / "data" / "test" / "0.npz").write_bytes(archive(payload))
        said = refused(tmp_path / "data")
        assert "names posix.mkdir" in said or "names nt.mkdir" in said
        assert "0.npz" in said
        assert not mark.exists()


def test_an_array_outside_the_dict_that_runs_code_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", CLIENTS[:2])
    (tmp_path / "data" / "train" / "0.npz").write_bytes(
        pickled(pickle.dumps(Payload(tmp_path / "ran"), protocol=4))
    )
    assert "mkdir" in refused(tmp_path / "data")
    assert not (tmp_path / "ran").exists()


FORGED = {
    "more elements than bytes": b"(I3\n(I1000000\ntS",
    "a name of builtins": b"cbuiltins\neval\n(S'1'\ntR.",
    "a name with dots": b"\x80\x04\x8c\x05numpy\x8c\x0bffi.os.mkdir\x93.",
    "an extension": b"\x82\x01.",
    "a persistent object": b"P1\n.",
    "a memo of gigabytes": b"\x80\x03Nr\xff\xff\xff\x7f.",
    "a byte array of exabytes": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"x.",
    "bytes of exabytes": b"\x80\x05\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    "a frame of exabytes": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"x.",
    "a state of a class": b"cnumpy\ndtype\n}S'_order'\nS'x'\nsb.",
    "attributes of a class": b"cnumpy\ndtype\n(N}S'dtype'\nNstb.",
    "an endless nest": b"(" * 100_000 + b".",
    "a list in itself": b"\x80\x03]q\x00h\x00a.",
    "nothing": b"",
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_pickles_are_refused(kind: str, tmp_path: Path) -> None:
    write_folder(tmp_path, CLIENTS[:2])
    (tmp_path / "test" / "1.npz").write_bytes(pickled(FORGED[kind]))
    assert "1.npz" in refused(tmp_path)


def _array(shape: object, code: str, content: object, order: str = "<") -> Any:
    """Return a pickle of an object array with a forged array in it."""

    class Type:
        def __reduce__(self) -> Any:
            return np.dtype, (code, False, True), (3, order, None, None, None, -1, -1, 0)

    class Array:
        def __reduce__(self) -> Any:
            make, arguments, _ = np.zeros(0).__reduce__()  # type: ignore[misc]
            return make, arguments, (1, shape, Type(), False, content)

    return {"x": Array(), "y": np.arange(2)}


@pytest.mark.parametrize(
    "forged",
    [
        _array((2, 10**9), "f8", b"12345678"),
        _array((2, -1), "f8", b"1234567812345678"),
        _array((2, 2), "O8", [1, 2, 3]),
        _array((2, 1), "f8", [1.0, 2.0]),
        _array((2, 1), "V8", b"1234567812345678"),
        _array((2, 1), "M8", b"1234567812345678"),
        _array((2, 1), "f8,f8", b"1234567812345678"),
        _array((2, 1), "f8", b"1234567812345678", order="!"),
        _array(("2",), "f8", b"1234567812345678"),
        _array((2, 2, 2), "O8", [1] * 8),
    ],
)
def test_forged_arrays_are_refused(forged: Any, tmp_path: Path) -> None:
    write_folder(tmp_path, CLIENTS[:2])
    (tmp_path / "train" / "0.npz").write_bytes(archive(forged))
    assert "0.npz" in refused(tmp_path)


X, Y = images(4)
WRONG: dict[str, tuple[Any, str]] = {
    "no dict": ([X, Y], "not a dict of x and y"),
    "no y": ({"x": X}, "not a dict of x and y"),
    "NaN": ({"x": X * np.nan, "y": Y}, "x of .*NaN"),
    "ragged rows": ({"x": [[1, 2], [3]], "y": Y[:2]}, "sample 1 of x of .* not like the first"),
    "objects as labels": ({"x": X, "y": {"a": 1}}, "y of .* is not an array"),
    "labels as text": ({"x": X, "y": Y.astype(str)}, "y of .*expected whole numbers"),
    "a label too large": ({"x": X, "y": Y + 9}, "has the label 11, expected 0 to 4"),
    "lengths": ({"x": X, "y": Y[:3]}, "one label for each of 4 samples"),
    "other shapes": ({"x": X[:, :, :3], "y": Y}, r"samples of shape \(1, 3, 4\)"),
    "empty": ({"x": X[:0], "y": Y[:0]}, "it is empty"),
    "texts of other things": ({"x": [["a"], ["b"]], "y": Y[:2]}, "other than whole numbers"),
    "numbers without end": ({"x": [[1 << 99], [2]], "y": Y[:2]}, "more than 64 bits"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_named(kind: str, tmp_path: Path) -> None:
    content, message = WRONG[kind]
    write_folder(tmp_path, CLIENTS[:2], {"num_clients": 2, "num_classes": 5})
    (tmp_path / "train" / "1.npz").write_bytes(archive(content))
    said = refused_of_any(tmp_path)
    assert __import__("re").search(message, said), said


def refused_of_any(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_from(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path, CLIENTS[:2])
    path = tmp_path / "test" / "0.npz"
    whole = path.read_bytes()
    two = io.BytesIO()
    with zipfile.ZipFile(two, "w") as made:
        made.writestr("data.npy", b"")
        made.writestr("../x.npy", b"")
    for content in (
        whole[: len(whole) // 2],
        b"version https://git-lfs.github.com/spec/v1\n",
        b"",
        whole[:200] + bytes(100) + whole[300:],
        zipped(b"\x93NUMPY\x09\x00"),
        zipped(b"no array"),
        zipped(b"", "x.npy"),
        two.getvalue(),
    ):
        path.write_bytes(content)
        assert "0.npz" in refused(tmp_path)


def test_an_archive_larger_than_the_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, CLIENTS[:2])
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Free", (), {"available": 99}))
    assert "more than the 99 bytes of free memory" in refused(tmp_path)


def test_a_missing_or_superfluous_file_is_named(tmp_path: Path) -> None:
    root = write_folder(tmp_path, CLIENTS, {**CONFIG, "num_clients": 9})
    assert "says 9 clients, and" in refused(root)
    (root / "config.json").unlink()
    (root / "test" / "10.npz").unlink()
    assert "client 10 has a file in" in refused(root)
    (root / "config.json").write_text("{")
    (root / "train" / "10.npz").unlink()
    assert "expected JSON" in refused(root)
    (root / "config.json").write_text('{"num_classes": "ten"}')
    assert "num_classes in" in refused(root)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", CLIENTS[:2])
    inside = root / "train" / "0.npz"
    outside = inside.rename(tmp_path / "0.npz")
    inside.symlink_to(outside)
    assert "link out of" in refused(root)


def test_a_path_without_a_name_is_told_what_it_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(Path("fed"), CLIENTS[:2])
    registry = Registry()
    for module in (imagefolder, npz, pfllib):
        registry.add(module, "test")
    with pytest.raises(UnknownNameError, match=r"looks like PFLlib's layout .*: write pfllib:fed"):
        registry.get(registry.datasets, "fed")
    with pytest.raises(UnknownNameError, match="a folder with an archive a client: write npz:fed/"):
        registry.get(registry.datasets, "fed/test")
