"""A user's own images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pflbench.errors import InputError
from pflbench.federation import DataRequest, Pool, build
from pflbench.federation.partitioners.iid import IidPartitioner
from pflbench.schema.parameters import NoParameters
from pflbench_datasets.images import load


def paint(path: Path, value: int, *, mode: str = "RGB", size: tuple[int, int] = (5, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0]), value, np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def paint_classes(root: Path, n: int = 5, *, mode: str = "RGB", base: int = 0) -> Path:
    for c, name in enumerate(("cat", "dog")):
        for i in range(n):
            paint(root / name / f"{i}.png", base + 100 * c + i, mode=mode)
    return root


def load_from(root: Path) -> Pool:
    return load(DataRequest("imagefolder", path=root))


def test_a_folder_a_class(tmp_path: Path) -> None:
    pool = load_from(paint_classes(tmp_path, 10))
    assert pool.train_x.shape == (16, 3, 4, 5)  # height before width
    assert pool.train_x.dtype == np.uint8
    assert np.bincount(pool.test_y).tolist() == [2, 2]
    assert (pool.classes, pool.validation) == (2, 3)
    values = pool.train_x[:, 0, 0, 0]
    np.testing.assert_array_equal(values >= 100, pool.train_y == 1)
    seen = np.concatenate([values, pool.test_x[:, 0, 0, 0]])
    assert sorted(seen.tolist()) == [*range(10), *range(100, 110)]


def test_train_val_and_test_folders(tmp_path: Path) -> None:
    paint_classes(tmp_path / "train", 5)
    paint_classes(tmp_path / "val", 2, base=20)
    paint_classes(tmp_path / "test", 3, base=40)
    pool = load_from(tmp_path)
    assert pool.train_x[:, 0, 0, 0].tolist() == [*range(5), *range(100, 105)]
    assert pool.test_x[:, 0, 0, 0].tolist() == [40, 41, 42, 140, 141, 142]
    assert pool.val_x is not None
    assert pool.val_x[:, 0, 0, 0].tolist() == [20, 21, 120, 121]
    assert pool.remark == "The 4 images of val/ are the validation pool: no client trains on them."
    before = build(pool, IidPartitioner(NoParameters()), 2, 0)
    assert sorted(before.val.x[:, 0, 0, 0].mul(255).round().tolist()) == [20, 21, 120, 121]
    paint(tmp_path / "val/cat/0.png", 25)
    after = build(load_from(tmp_path), IidPartitioner(NoParameters()), 2, 0)
    assert before.fingerprint != after.fingerprint


def test_without_a_test_folder_the_validation_images_stay_for_validation(tmp_path: Path) -> None:
    paint_classes(tmp_path / "train", 5)
    paint_classes(tmp_path / "val", 2, base=20)
    pool = load_from(tmp_path)
    assert pool.val_x is not None
    assert pool.val_x[:, 0, 0, 0].tolist() == [20, 21, 120, 121]
    assert (len(pool.train_x), len(pool.test_x)) == (8, 2)


def test_a_test_folder_may_lack_a_class_but_not_bring_one(tmp_path: Path) -> None:
    paint_classes(tmp_path / "train")
    paint(tmp_path / "test/dog/0.png", 7)
    assert load_from(tmp_path).test_y.tolist() == [1]
    paint(tmp_path / "test/emu/0.png", 7)
    with pytest.raises(InputError, match="emu is a class that the training images do not have"):
        load_from(tmp_path)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("car", "train"):
        for i in range(5):
            paint(tmp_path / name / f"{i}.png", i)
    assert load_from(tmp_path).classes == 2


@pytest.mark.parametrize(
    ("modes", "channels"),
    [(("L", "L"), 1), (("1", "L"), 1), (("RGB", "RGB"), 3), (("L", "RGB"), 3), (("P", "RGBA"), 3)],
)
def test_grey_stays_grey_unless_there_is_colour(
    modes: tuple[str, str], channels: int, tmp_path: Path
) -> None:
    for i in range(10):
        paint(tmp_path / "cat" / f"{i}.png", 255, mode=modes[0])
        paint(tmp_path / "dog" / f"{i}.png", 255, mode=modes[1])
    pool = load_from(tmp_path)
    assert pool.train_x.shape[1] == channels
    assert (pool.train_x == 255).all()


def test_images_of_another_size_are_named(tmp_path: Path) -> None:
    paint_classes(tmp_path)
    odd = paint(tmp_path / "dog" / "3.png", 1, size=(5, 9))
    with pytest.raises(InputError, match=r"is 5×9 pixels, but .* is 5×4") as caught:
        load_from(tmp_path)
    assert str(odd) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not an image"), (b"text", "not an image"), (None, "is damaged")],
    ids=["empty", "text", "truncated"],
)
def test_damaged_images_are_named(content: bytes | None, message: str, tmp_path: Path) -> None:
    paint_classes(tmp_path)
    bad = tmp_path / "cat" / "2.png"
    if content is None:
        noise = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
        Image.fromarray(noise).save(bad)
        content = bad.read_bytes()[:-40]
    bad.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_from(tmp_path)
    assert str(bad) in str(caught.value)


def test_sixteen_bit_images_are_refused(tmp_path: Path) -> None:
    paint_classes(tmp_path)
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(tmp_path / "cat" / "0.png")
    with pytest.raises(InputError, match="mode I;16: expected 8-bit"):
        load_from(tmp_path)


def test_folders_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="imagefolder:PATH"):
        load(DataRequest("imagefolder"))
    with pytest.raises(InputError, match="nowhere is not a folder"):
        load_from(tmp_path / "nowhere")
    with pytest.raises(InputError, match="two or more classes, found none"):
        load_from(tmp_path)
    paint(tmp_path / "one/cat/0.png", 1)
    with pytest.raises(InputError, match="found only 'cat'"):
        load_from(tmp_path / "one")
    (tmp_path / "one/dog").mkdir()
    with pytest.raises(InputError, match=r"dog holds no image"):
        load_from(tmp_path / "one")
    paint_classes(tmp_path / "two/test")
    with pytest.raises(InputError, match="'test' but no 'train'"):
        load_from(tmp_path / "two")
    paint_classes(tmp_path / "two/train")
    paint_classes(tmp_path / "two/valid")
    with pytest.raises(InputError, match="'valid' next to 'test'"):
        load_from(tmp_path / "two")
    paint_classes(tmp_path / "three/train")
    (tmp_path / "three/test").mkdir()
    with pytest.raises(InputError, match="test holds no image"):
        load_from(tmp_path / "three")
