"""CIFAR from files in the published format; their checksums are the tests' own."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_data_sets import Files, cifar_batch, cifar_files, tar_gz, write

from pflbench.errors import InputError
from pflbench.federation import DataRequest
from pflbench_datasets.batches import CIFAR10, CIFAR100, load_cifar10, load_cifar100
from pflbench_datasets.collection import Part
from pflbench_datasets.sources import Places

Request = Callable[..., DataRequest]


def test_the_published_files_are_known() -> None:
    assert CIFAR10.archive == Part("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a")
    assert CIFAR100.archive == Part("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85")
    assert [part.name for part in CIFAR10.parts][-1] == "test_batch"
    assert [part.name for part in CIFAR100.parts] == ["train", "test"]
    assert CIFAR10.mirrors[0].startswith("https://")


@pytest.mark.parametrize("layout", ["folder", "archive", "loose"])
def test_cifar10(
    layout: str, tmp_path: Path, cifar10: Files, places: Places, offline: Request
) -> None:
    root = tmp_path / "data"
    if layout == "archive":
        write(root, {"cifar-10-python.tar.gz": cifar10.archive})
    else:
        write(root / ("cifar-10-batches-py" if layout == "folder" else "."), cifar10.files)
    pool = load_cifar10(offline(root), collection=cifar10.collection, places=places)
    assert pool.train_x.shape == (35, 3, 32, 32)
    assert pool.test_x.shape == (7, 3, 32, 32)
    assert pool.train_x.dtype == np.uint8
    np.testing.assert_array_equal(pool.train_x[7:14].reshape(7, -1), cifar10.arrays["data_batch_2"])
    np.testing.assert_array_equal(pool.test_x.reshape(7, -1), cifar10.arrays["test_batch"])
    assert (pool.classes, pool.validation) == (10, 7)
    assert pool.mean == (0.4914, 0.4822, 0.4465)
    assert not (tmp_path / "evil").exists()  # the archive holds ../evil


def test_cifar100(tmp_path: Path, cifar100: Files, places: Places, offline: Request) -> None:
    write(tmp_path, {"cifar-100-python.tar.gz": cifar100.archive})
    pool = load_cifar100(offline(tmp_path), collection=cifar100.collection, places=places)
    assert pool.train_x.shape == (9, 3, 32, 32)
    assert pool.classes == 100


def test_loose_files_called_train_need_their_neighbour(
    tmp_path: Path, cifar100: Files, places: Places, offline: Request
) -> None:
    write(tmp_path, cifar100.files)
    load = lambda: load_cifar100(offline(tmp_path), collection=cifar100.collection, places=places)  # noqa: E731
    with pytest.raises(InputError, match="CIFAR-100 was not found"):
        load()
    (tmp_path / "meta").write_bytes(b"")
    assert len(load().train_y) == 9


class Evil:
    """Pickled, it leaves a file behind when it is read by a plain unpickler."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def evil_files(trace: Path) -> Files:
    batches = {part.name: cifar_batch(3, 10, "labels", 0) for part in CIFAR10.parts}
    batches["test_batch"]["extra"] = Evil(trace)
    return cifar_files(batches, CIFAR10)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_an_unknown_file_is_never_unpickled(
    packed: bool,
    tmp_path: Path,
    cifar10: Files,
    places: Places,
    offline: Request,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evil = evil_files(tmp_path / "trace")
    if packed:
        write(tmp_path / "data", {"cifar-10-python.tar.gz": evil.archive})
    else:
        write(tmp_path / "data" / CIFAR10.folder, {**cifar10.files, "data_batch_1": b"other"})

    def unpickled(*_: object, **__: object) -> None:
        raise AssertionError("an unverified file was unpickled")

    monkeypatch.setattr("pflbench_datasets.batches._Unpickler", unpickled)
    with pytest.raises(InputError, match=r"its MD5 is .*expected"):
        load_cifar10(offline(tmp_path / "data"), collection=cifar10.collection, places=places)


# the published files, and so these, name numpy's modules as numpy 1 called them
@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
def test_a_verified_file_can_make_nothing_but_arrays(
    tmp_path: Path, places: Places, offline: Request
) -> None:
    trace = tmp_path / "trace"
    evil = evil_files(trace)
    write(tmp_path / "data" / CIFAR10.folder, evil.files)
    with pytest.raises(InputError, match=r"test_batch .*which no CIFAR batch does"):
        load_cifar10(offline(tmp_path / "data"), collection=evil.collection, places=places)
    assert not trace.exists()
    pickle.loads(evil.files["test_batch"], encoding="latin1")
    assert trace.exists()  # the file does harm where anything may be made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1, 10]}, "labels outside 0 to 9"),
        ({"labels": [0, 1, -1]}, "labels outside 0 to 9"),
        ({"labels": [0, 1]}, "3 images and labels of"),
        ({"labels": ["a", "b", "c"]}, "3 images and labels of"),
        ({"data": np.zeros((3, 3000), np.uint8)}, r"shape \(3, 3000\)"),
        ({"data": np.zeros((3, 3072), np.float32)}, "array of 'f4', expected"),
        ({"data": np.array([None])}, "array of 'O8', expected"),
        ({"data": "text"}, "is not a CIFAR batch"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, dict) else "",
)
def test_structure_is_checked_besides_checksums(
    change: dict[str, Any], message: str, tmp_path: Path, places: Places, offline: Request
) -> None:
    batches = {part.name: cifar_batch(3, 10, "labels", 0) for part in CIFAR10.parts}
    batches["data_batch_3"] |= change
    made = cifar_files(batches, CIFAR10)
    write(tmp_path / CIFAR10.folder, made.files)
    with pytest.raises(InputError, match=message) as caught:
        load_cifar10(offline(tmp_path), collection=made.collection, places=places)
    assert "data_batch_3" in str(caught.value)


def test_any_array_order_is_read(tmp_path: Path, places: Places, offline: Request) -> None:
    batches = {part.name: cifar_batch(3, 10, "labels", i) for i, part in enumerate(CIFAR10.parts)}
    data = batches["test_batch"]["data"]
    batches["test_batch"]["data"] = np.asfortranarray(data)
    made = cifar_files(batches, CIFAR10)
    write(tmp_path / CIFAR10.folder, made.files)
    pool = load_cifar10(offline(tmp_path), collection=made.collection, places=places)
    np.testing.assert_array_equal(pool.test_x.reshape(3, -1), data)


@pytest.mark.parametrize("kind", ["truncated", "lacks one", "wrong member", "not a tar"])
def test_damaged_archives(
    kind: str, tmp_path: Path, cifar10: Files, places: Places, offline: Request
) -> None:
    name = "cifar-10-python.tar.gz"
    members = {f"{CIFAR10.folder}/{k}": v for k, v in cifar10.files.items()}
    archive = {
        "truncated": cifar10.archive[:-1000],
        "lacks one": tar_gz(dict(list(members.items())[1:])),
        "wrong member": tar_gz({**members, f"{CIFAR10.folder}/test_batch": b"x"}),
        "not a tar": b"nonsense",
    }[kind]
    write(tmp_path, {name: archive})
    with pytest.raises(InputError, match="its MD5 is") as caught:
        load_cifar10(offline(tmp_path), collection=cifar10.collection, places=places)
    assert str(tmp_path / name) in str(caught.value)
    # and were the archive's checksum right, its content would still have to be
    known = replace(cifar10.collection, archive=Part(name, hashlib.md5(archive).hexdigest()))
    message = "truncated|cannot be unpacked|lacks data_batch_1|test_batch in .* its MD5 is"
    with pytest.raises(InputError, match=message):
        load_cifar10(offline(tmp_path), collection=known, places=places)
