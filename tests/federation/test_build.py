"""From data to federations: preparation, repair, identity, and refusals."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from pflbench.errors import InputError
from pflbench.federation import SPLITS, ClientArrays, Partitioner, Pool, build
from pflbench.federation.allocation import hold_out
from pflbench.federation.partitioners.iid import IidPartitioner
from pflbench.federation.partitioners.natural import NaturalPartitioner
from pflbench.federation.skew import class_counts, count_matrix
from pflbench.schema.parameters import NoParameters

IID = IidPartitioner(NoParameters())


@pytest.fixture(scope="module")
def digits() -> Pool:
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 1, 8, 8) * 15).astype(np.uint8)
    return Pool(x[:1400], labels[:1400], x[1400:], labels[1400:], 10, "digits", validation=400)


class Given(Partitioner):
    """Hands out what it was made with."""

    def assign(self, request, rng):
        return self.parameters(request)


def test_bytes_become_numbers_from_0_to_1_and_then_are_normalised(digits):
    plain = build(digits, IID, 5, 0)
    assert plain.train.x.dtype == torch.float32
    assert plain.train.x.min() == 0
    assert plain.train.x.max() == np.float32(240) / np.float32(255)
    assert plain.train.x.shape[1:] == plain.input_shape == (1, 8, 8)
    normal = build(dataclasses.replace(digits, mean=(0.5,), std=(0.25,)), IID, 5, 0)
    for split in SPLITS:
        assert torch.allclose(normal.split(split).x, (plain.split(split).x - 0.5) / 0.25)
        assert normal.index_hashes[split] == plain.index_hashes[split]


def test_floating_point_is_taken_as_it_is(digits):
    x = digits.train_x.astype(np.float64) * 3 - 7
    pool = dataclasses.replace(digits, train_x=x, test_x=x[:300], test_y=digits.train_y[:300])
    federation = build(pool, IID, 5, 0)
    assert federation.train.x.dtype == torch.float32
    assert federation.train.x.min() == -7
    assert federation.train.x.max() == 240 * 3 - 7


def test_the_validation_pool_is_stratified_and_of_the_size_asked_for(digits):
    federation = build(digits, IID, 5, 0)
    counts = {s: count_matrix(class_counts(federation), s).sum(axis=0) for s in ("train", "val")}
    assert counts["val"].sum() == 400
    assert counts["train"].sum() == 1000
    assert np.abs(counts["val"] - np.bincount(digits.train_y) * 400 / 1400).max() < 1


@settings(max_examples=100, deadline=None)
@given(
    owners=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), min_size=2, max_size=80),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_holding_out_is_exact_and_leaves_every_owner_both_sides(owners, seed, data):
    owner, y = np.array(owners).T
    count = data.draw(st.integers(1, len(y) - 1))
    kept, held = hold_out(y, None, count, np.random.default_rng(seed))
    assert len(held) == count
    assert sorted([*kept, *held]) == list(range(len(y)))
    kept, held = hold_out(y, owner, count, np.random.default_rng(seed))
    assert sorted([*kept, *held]) == list(range(len(y)))
    for i in np.unique(owner):
        if (owner == i).sum() >= 2:
            assert (owner[kept] == i).any()
            assert (owner[held] == i).any()


def test_a_client_without_samples_gets_one_of_a_class_that_it_holds(digits):
    def assign(request):
        """Class 0 and 1 to the clients 0 and 1; client 2 has some of class 1 in training alone."""
        parts = {}
        for split, y in request.labels.items():
            zeros, ones = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
            cut = 5 if split == "train" else 0
            parts[split] = [zeros, ones[cut:], ones[:cut]]
        return parts

    federation = build(digits, Given(assign), 3, 0)
    assert federation.train.sizes[2] == 5
    for split in ("val", "test"):
        assert federation.split(split).client(2)[1].tolist() == [1]


def test_the_fingerprint_is_of_the_data_alone(digits):
    base = build(digits, IID, 5, 0)
    assert build(digits, IID, 7, 3).fingerprint == base.fingerprint
    renamed = dataclasses.replace(
        digits, source="the same", notice="downloaded", train_y=digits.train_y.astype(np.uint8)
    )
    assert build(renamed, IID, 5, 0).fingerprint == base.fingerprint
    pixel, label = digits.train_x.copy(), digits.test_y.copy()
    pixel[3, 0, 2, 2] ^= 1
    label[5] = (label[5] + 1) % 10
    for change in (
        {"train_x": pixel},
        {"test_y": label},
        {"classes": 11},
        {"validation": 399},
        {"mean": (0.0,), "std": (1.0,)},
        {"train_x": digits.train_x.astype(np.float32), "test_x": digits.test_x.astype(np.float32)},
        {"train_owner": np.arange(1400) % 5, "test_owner": np.arange(397) % 5},
    ):
        other = build(dataclasses.replace(digits, **change), IID, 5, 0)
        assert other.fingerprint != base.fingerprint, list(change)


@pytest.mark.parametrize(
    ("change", "clients", "message"),
    [
        ({}, 401, "More clients than samples"),
        ({}, 398, "needs a test sample, and the number of them is 397 .digits"),
        ({}, 0, "federation of 0 clients"),
        ({}, None, "have no client ids .digits"),
        ({"validation": 0}, 5, "set aside 0 of"),
        ({"validation": 1400}, 5, "set aside 1,400 of"),
        ({"classes": 9}, 5, "training labels of digits has the label 9, expected 0 to 8"),
        ({"classes": 0}, 5, "0 classes"),
        ({"train_y": np.zeros(3, int)}, 5, "one label for each of 1,400"),
        ({"train_y": np.zeros(1400)}, 5, "float64, expected whole numbers"),
        ({"test_x": np.zeros((397, 1, 8, 9), np.uint8)}, 5, r"expected \(1, 8, 8\) as in"),
        ({"test_x": np.zeros((397, 1, 8, 8), np.int32)}, 5, "int32, expected uint8"),
        ({"test_x": np.full((397, 1, 8, 8), np.nan)}, 5, "test data of digits.*NaN"),
        ({"test_x": np.full((397, 1, 8, 8), 1e300)}, 5, "infinite as float32"),
        ({"test_x": np.zeros((0, 1, 8, 8)), "test_y": np.zeros(0, int)}, 5, "it is empty"),
        ({"mean": (0.5,)}, 5, "one of mean and std"),
        ({"mean": (0.5,), "std": (0.0,)}, 5, "above 0"),
        ({"mean": (0.5, 0.5), "std": (1.0, 1.0)}, 5, "each of 1 channels"),
        ({"train_owner": np.zeros(1400, int)}, None, "both or neither"),
        (
            {"train_owner": np.full(1400, 10**9), "test_owner": np.zeros(397, int)},
            None,
            "client number 1000000000",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_sentence(digits, change, clients, message):
    with pytest.raises(InputError, match=message) as caught:
        build(dataclasses.replace(digits, **change), IID, clients, 0)
    assert "\n" not in str(caught.value)


def everything(request, change):
    parts = IID.assign(request, np.random.default_rng(0))
    return change({split: list(arrays) for split, arrays in parts.items()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p | {"val": [p["val"][0]] * 4}, "validation sample .* twice"),
        (lambda p: p | {"test": [a + 1 for a in p["test"]]}, "test sample 397, but .* 0 to 396"),
        (lambda p: p | {"test": [a - 1 for a in p["test"]]}, "test sample -1"),
        (lambda p: {"train": p["train"]}, "0 clients for the validation split, expected 4"),
        (lambda p: p | {"train": p["train"][:3]}, "3 clients for the training split"),
        (lambda p: p | {"train": [a * 1.0 for a in p["train"]]}, "sample indices"),
        (lambda p: p | {"train": [[1], [], [2], []]}, "2 training samples, too few for 4"),
    ],
)
def test_a_partitioner_that_misbehaves_is_named(digits, change, message):
    with pytest.raises(InputError, match=f"Given .*{message}"):
        build(digits, Given(lambda request: everything(request, change)), 4, 0)


@pytest.mark.parametrize(
    ("seen", "message"),
    [(lambda x: x[:, :, 1:], "expected the same shape"), (lambda x: x / 0, "NaN or infinite")],
)
def test_a_transform_that_misbehaves_is_named(digits, seen, message):
    class Breaking(IidPartitioner):
        def transform(self, client, x):
            return seen(x)

    with pytest.raises(InputError, match=f"Breaking .*{message}"):
        build(digits, Breaking(NoParameters()), 4, 0)


def test_data_that_are_divided_already_stay_so():
    rng = np.random.default_rng(0)
    clients = [
        {
            f"{s}_{part}": rng.random((n, 3)) if part == "x" else np.arange(n) % 2
            for s, n in (("train", 5 + i), ("val", 2), ("test", 3))
            for part in "xy"
        }
        for i in range(4)
    ]
    data = ClientArrays(clients, classes=2, source="four hospitals")
    federation = build(data, None, None, 0)
    assert federation.train.sizes.tolist() == [5, 6, 7, 8]
    assert federation.source == "four hospitals"
    assert build(data, NaturalPartitioner(NoParameters()), 4, 9).fingerprint == (
        federation.fingerprint
    )
    with pytest.raises(InputError, match="already divided among 4 clients"):
        build(data, IID, 4, 0)
    with pytest.raises(InputError, match="divided among 4 clients, not 5"):
        build(data, None, 5, 0)


def test_a_pool_needs_a_partitioner(digits):
    with pytest.raises(InputError, match="A partition of digits"):
        build(digits, None, 4, 0)
