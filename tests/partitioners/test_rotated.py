"""The rotated partition, on real images: 8×8 digits."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torchvision.transforms.functional import rotate

from pflbench.errors import InputError
from pflbench.federation import SPLITS, Pool, build
from pflbench.federation.partitioners.partitioner_settings import Rotated
from pflbench.federation.partitioners.rotated import RotatedPartitioner


@pytest.fixture(scope="module")
def digits() -> Pool:
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 1, 8, 8) * 15).astype(np.uint8)
    return Pool(x[:1400], labels[:1400], x[1400:], labels[1400:], 10, "digits", validation=400)


def test_each_client_sees_its_images_turned_by_its_angle(digits):
    federation = build(digits, RotatedPartitioner(Rotated(step=90)), 5, 0)
    known = {
        (image.tobytes(), int(label))
        for x, y in ((digits.train_x, digits.train_y), (digits.test_x, digits.test_y))
        for image, label in zip(x.astype(np.float32) / np.float32(255), y, strict=True)
    }
    for i in range(5):  # 0, 90, 180, 270 and 360 degrees, counter-clockwise
        for split in SPLITS:
            x, y = federation.split(split).client(i)
            back = np.rot90(x.numpy(), -i, axes=(2, 3))
            pairs = zip(back, y, strict=True)
            assert all((np.ascontiguousarray(b).tobytes(), int(c)) in known for b, c in pairs)


def test_angles_are_those_of_the_official_setting(digits):
    partitioner = RotatedPartitioner(Rotated())
    assert [partitioner.angle(i) for i in range(37)] == [10.0 * i for i in range(36)] + [0.0]
    assert RotatedPartitioner(Rotated(step=-90)).angle(1) == 270
    x = torch.from_numpy(digits.test_x[:20]).float().div(255)
    assert torch.equal(partitioner.transform(7, x), rotate(x, 70.0))
    assert torch.equal(partitioner.transform(0, x), x)


def test_sizes_are_the_official_ones_or_what_there_is(digits):
    large = Pool(
        np.zeros((60_000, 1, 1, 1), np.uint8),
        np.arange(60_000) % 10,
        np.zeros((10_000, 1, 1, 1), np.uint8),
        np.arange(10_000) % 10,
        10,
        "large",
        validation=10_000,
    )
    for pool, clients, expected in (
        (large, 36, (128, 64, 277)),
        (large, 500, (100, 20, 20)),
        (digits, 36, (27, 11, 11)),
    ):
        federation = build(pool, RotatedPartitioner(Rotated()), clients, 0)
        for split, size in zip(SPLITS, expected, strict=True):
            assert (federation.split(split).sizes == size).all()


def test_sizes_asked_for_are_kept_or_refused(digits):
    federation = build(digits, RotatedPartitioner(Rotated(train=100, val=40, test=3)), 10, 0)
    assert [federation.split(s).sizes.tolist() for s in SPLITS] == [[100] * 10, [40] * 10, [3] * 10]
    with pytest.raises(InputError, match=r"rotated\(train=101\).*1,010 training.*most train=100"):
        build(digits, RotatedPartitioner(Rotated(train=101)), 10, 0)
    with pytest.raises(InputError, match=r"rotated\(test=40\).*test samples.*most test=39"):
        build(digits, RotatedPartitioner(Rotated(test=40)), 10, 0)


def test_what_is_not_an_image_is_refused():
    flat = Pool(
        np.ones((30, 4), np.float32),
        np.arange(30) % 2,
        np.ones((9, 4), np.float32),
        np.arange(9) % 2,
        2,
        "a table",
        validation=10,
    )
    with pytest.raises(InputError, match=r"rotated turns images.*shape \(4,\)"):
        build(flat, RotatedPartitioner(Rotated()), 3, 0)


def test_coordinates_are_points_on_a_circle() -> None:
    points = RotatedPartitioner(Rotated(step=90)).coordinates(5)
    expected = [(1, 0), (0, 1), (-1, 0), (0, -1), (1, 0)]
    np.testing.assert_allclose(points, expected, atol=1e-12)
