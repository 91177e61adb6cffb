"""MNIST and Fashion-MNIST from files: the real ones where they are, small ones everywhere."""

from __future__ import annotations

import gzip
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_data_sets import Files, idx_bytes, known_as, write

from pflbench.errors import InputError
from pflbench.federation import DataRequest
from pflbench_datasets import embedded
from pflbench_datasets.idx import FASHION_MNIST, MNIST, load_fashion_mnist, load_mnist, read_idx
from pflbench_datasets.sources import Places

Request = Callable[..., DataRequest]
SYSTEM = Places().system / "fashion-mnist"
NAMED = os.environ.get("PFLBENCH_DATA")
TRAIN_IMAGES = "train-images-idx3-ubyte"


@pytest.mark.skipif(not SYSTEM.is_dir(), reason=f"Debian's dataset-fashion-mnist: no {SYSTEM}")
class TestRealFashionMnist:
    def test_the_system_package_holds_all_of_it(self, tmp_path: Path, offline: Request) -> None:
        pool = load_fashion_mnist(offline(), places=Places(cache=tmp_path))
        assert pool.train_x.shape == (60_000, 1, 28, 28)
        assert pool.test_x.shape == (10_000, 1, 28, 28)
        assert np.bincount(pool.train_y).tolist() == [6_000] * 10
        assert np.bincount(pool.test_y).tolist() == [1_000] * 10
        assert (pool.validation, pool.mean, pool.notice) == (10_000, None, "")
        assert str(SYSTEM) in pool.source

    def test_loose_archives_in_the_users_folder(self, tmp_path: Path, offline: Request) -> None:
        pool = load_fashion_mnist(offline(SYSTEM), places=Places(cache=tmp_path, system=tmp_path))
        assert len(pool.train_y) == 60_000

    def test_it_is_not_mistaken_for_mnist(self, tmp_path: Path, offline: Request) -> None:
        (tmp_path / "MNIST").mkdir()
        (tmp_path / "MNIST" / "raw").symlink_to(SYSTEM)
        with pytest.raises(InputError, match="is a file of Fashion-MNIST, not of MNIST"):
            load_mnist(offline(tmp_path), places=Places(cache=tmp_path / "cache"))
        # Lying loose they are Fashion-MNIST's, so the folder just lacks MNIST.
        pool = load_mnist(offline(SYSTEM), places=Places(cache=tmp_path / "cache"))
        assert "that come with pflbench" in pool.source


@pytest.mark.skipif(
    not (NAMED and (Path(NAMED) / "MNIST").is_dir()), reason="PFLBENCH_DATA names no MNIST"
)
def test_the_whole_of_mnist(tmp_path: Path, offline: Request) -> None:
    start = time.process_time()
    pool = load_mnist(offline(Path(str(NAMED))), places=Places(cache=tmp_path))
    assert time.process_time() - start < 2  # some 0.15 s where nothing else runs
    assert pool.train_x.shape == (60_000, 1, 28, 28)
    assert pool.test_y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("folder", ["MNIST/raw", "raw", "."])
def test_layouts(
    folder: str, packed: bool, tmp_path: Path, mnist: Files, places: Places, offline: Request
) -> None:
    write(tmp_path / "data" / folder, mnist.files, packed=packed)
    pool = load_mnist(offline(tmp_path / "data"), collection=mnist.collection, places=places)
    np.testing.assert_array_equal(pool.train_x[:, 0], mnist.arrays[TRAIN_IMAGES])
    np.testing.assert_array_equal(pool.train_y, mnist.arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(pool.test_x[:, 0], mnist.arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(pool.test_y, mnist.arrays["t10k-labels-idx1-ubyte"])
    assert pool.train_x.dtype == np.uint8
    assert pool.validation == 10
    assert str(tmp_path / "data") in pool.source


def test_the_users_folder_comes_before_the_cache(
    tmp_path: Path, mnist: Files, places: Places, offline: Request
) -> None:
    write(places.cache / "MNIST/raw", mnist.files)
    load = lambda request: load_mnist(request, collection=mnist.collection, places=places)  # noqa: E731
    assert "the cache" in load(offline()).source
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "the cache" in load(offline(empty)).source
    write(tmp_path / "data/MNIST/raw", mnist.files)
    assert str(tmp_path / "data") in load(offline(tmp_path / "data")).source


DAMAGE = {
    "truncated": (lambda b: b[:-9], False, r"truncated: it has [\d,]+ bytes, expected"),
    "too long": (lambda b: b + b"\0", False, "too long"),
    "one bit": (lambda b: b[:-1] + bytes([b[-1] ^ 1]), False, "its SHA-256 is .*expected"),
    "truncated gz": (lambda b: gzip.compress(b)[:-20], True, "truncated: its compressed content"),
    "not a gz": (lambda b: b, True, "cannot be unpacked"),
    "bit in gz": (lambda b: gzip.compress(b[:-1] + bytes([b[-1] ^ 1])), True, "its SHA-256 is"),
    "short gz": (lambda b: gzip.compress(b[:-1]), True, r"unpacks to [\d,]+ bytes, expected"),
    "long gz": (lambda b: gzip.compress(b + bytes(10**7)), True, "unpacks to more than"),
    "garbled gz": (
        lambda b: gzip.compress(b)[:2000] + b"garbage" * 9 + gzip.compress(b)[2063:],
        True,
        "cannot be unpacked|truncated",
    ),
    "empty": (lambda b: b"", False, "truncated: it has 0 bytes"),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, TRAIN_IMAGES) for kind in DAMAGE),
        # the labels' archive is too short to be garbled in its middle
        *((kind, "t10k-labels-idx1-ubyte") for kind in DAMAGE if kind != "garbled gz"),
    ],
)
def test_damaged_files_of_the_user_are_named_and_end_it(
    kind: str, name: str, tmp_path: Path, mnist: Files, places: Places, offline: Request
) -> None:
    damage, packed, message = DAMAGE[kind]
    folder = write(tmp_path / "data/MNIST/raw", mnist.files)
    write(places.cache / "MNIST/raw", mnist.files)  # sound, but not what was asked for
    (folder / name).unlink()
    bad = folder / (f"{name}.gz" if packed else name)
    bad.write_bytes(damage(mnist.files[name]))
    with pytest.raises(InputError, match=message) as caught:
        load_mnist(offline(tmp_path / "data"), collection=mnist.collection, places=places)
    assert str(bad) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_of_four_is_named(
    tmp_path: Path, mnist: Files, places: Places, offline: Request
) -> None:
    folder = write(tmp_path / "data/MNIST/raw", mnist.files)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="only some of MNIST's files: t10k-labels-idx1-ubyte"):
        load_mnist(offline(tmp_path / "data"), collection=mnist.collection, places=places)


def test_a_data_folder_that_is_not_there(tmp_path: Path, offline: Request) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        load_mnist(offline(tmp_path / "nowhere"))


def test_damage_in_the_cache_is_told_and_the_next_place_used(
    mnist: Files, places: Places, offline: Request
) -> None:
    collection = replace(mnist.collection, system="a-package")
    write(places.system / "a-package", mnist.files, packed=True)
    write(places.cache / "MNIST/raw", {**mnist.files, TRAIN_IMAGES: b"nonsense"})
    pool = load_mnist(offline(), collection=collection, places=places)
    assert "a-package" in pool.source
    assert str(places.cache / "MNIST/raw" / TRAIN_IMAGES) in pool.notice
    assert "\n" not in pool.notice


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", idx_bytes(np.full(60, 10)), "hold 10: labels are 0 to 9"),
        ("train-labels-idx1-ubyte", idx_bytes(np.zeros(59)), "do not fit each other"),
        (TRAIN_IMAGES, idx_bytes(np.zeros((60, 784))), "do not fit each other"),
        (TRAIN_IMAGES, b"PK\3\4" + bytes(100), "not an IDX file"),
        (TRAIN_IMAGES, b"\0\0\x08\x03\0", "ends within its header"),
        (TRAIN_IMAGES, idx_bytes(np.zeros((60, 28, 28)))[:-1], "its header says"),
        (TRAIN_IMAGES, b"\0\0\x08\x03" + b"\xff" * 12, "its header says"),
    ],
)
def test_structure_is_checked_besides_checksums(
    name: str,
    content: bytes,
    message: str,
    tmp_path: Path,
    mnist: Files,
    places: Places,
    offline: Request,
) -> None:
    files = {**mnist.files, name: content}
    write(tmp_path / "MNIST/raw", files)
    with pytest.raises(InputError, match=message):
        load_mnist(offline(tmp_path), collection=known_as(files, MNIST), places=places)


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)))
def test_idx_reads_back_what_was_written(array: np.ndarray) -> None:
    np.testing.assert_array_equal(read_idx(np.frombuffer(idx_bytes(array), np.uint8)), array)


@given(st.binary(max_size=64))
def test_idx_parses_or_refuses_any_bytes(content: bytes) -> None:
    try:
        array = read_idx(np.frombuffer(content, np.uint8))
    except ValueError:
        return
    assert idx_bytes(array) == content


class TestLastResort:
    def test_it_is_five_thousand_real_images(self, places: Places, offline: Request) -> None:
        pool = load_mnist(offline(), places=places)
        assert pool.train_x.shape == (4_000, 1, 28, 28)
        assert pool.test_x.shape == (1_000, 1, 28, 28)
        assert pool.train_x.dtype == np.uint8
        assert np.bincount(pool.train_y).tolist() == [400] * 10
        assert np.bincount(pool.test_y).tolist() == [100] * 10
        assert pool.validation == 1_333
        assert pool.train_x.max() == 255
        assert 0.12 < pool.train_x.mean() / 255 < 0.14  # the whole set's is 0.1307
        images = {x.tobytes() for x in pool.train_x}
        assert not images & {x.tobytes() for x in pool.test_x}

    def test_it_is_the_same_each_time_and_announced(self, places: Places, offline: Request) -> None:
        one, two = (load_mnist(offline(), places=places) for _ in range(2))
        np.testing.assert_array_equal(one.test_x, two.test_x)
        assert "5,000" in one.notice
        assert str(places.cache) in one.notice
        assert "\n" not in one.notice

    def test_it_can_be_refused(self, places: Places, offline: Request) -> None:
        with pytest.raises(InputError, match="--data-dir or PFLBENCH_DATA, or leave out"):
            load_mnist(offline(fallback=False), places=places)

    def test_only_mnist_has_it(self, places: Places, offline: Request) -> None:
        with pytest.raises(InputError, match="Fashion-MNIST was not found"):
            load_fashion_mnist(offline(), places=places)

    def test_no_image_of_it_ever_changes(self, places: Places, offline: Request) -> None:
        pool = load_mnist(offline(), places=places)
        arrays = (pool.train_x, pool.train_y.astype("<i8"), pool.test_x, pool.test_y.astype("<i8"))
        digests = [hashlib.sha256(a.tobytes()).hexdigest()[:12] for a in arrays]
        assert digests == ["5431e84e772f", "f2c7748a0e6d", "867bb85d9519", "bbdaed34ddb8"]

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda body: body[:1000], "is a damaged or truncated zip archive"),
            (lambda body: body[:5000] + b"?" + body[5001:], "is damaged or truncated"),
            (lambda body: b"", "is empty"),
        ],
    )
    def test_a_damaged_copy_does_not_pass(
        self,
        damage: Callable[[bytes], bytes],
        message: str,
        tmp_path: Path,
        places: Places,
        offline: Request,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        copy = tmp_path / "copy.npz"
        copy.write_bytes(damage(embedded.FILE.read_bytes()))
        monkeypatch.setattr(embedded, "FILE", copy)
        with pytest.raises(InputError, match=f"MNIST was not found.*copy.npz.*{message}"):
            load_mnist(offline(), places=places)


def test_the_checksums_are_not_mixed_up() -> None:
    digests = {part.digest for c in (MNIST, FASHION_MNIST) for part in c.parts}
    assert len(digests) == 8
    assert set(MNIST.namesakes) == {part.digest for part in FASHION_MNIST.parts}
