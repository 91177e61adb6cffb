"""Partitions of published code: the indices of the original, and what becomes of them here.

The digests were recorded from the original code: TsingZ0/PFLlib d832e76, Xtra-Computing/NIID-Bench
61b901a, lgcollins/FedRep d82e629, SMILELab-FL/FedLab 92552a7, CharlieDinh/pFedMe caf24b1, with
np.random.seed and random.seed of the number given, on the labels below. FedRep was run with 2,400
test samples: with fewer than 100 a client its code names a variable that it does not define.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pflbench.errors import InputError
from pflbench.federation import SPLITS, Pool, build
from pflbench.federation import recipe_rules as rules
from pflbench.federation.partitioners import recipes
from pflbench.federation.partitioners.recipe_settings import (
    FedrepShards,
    Hsu,
    InnerDirichlet,
    Lognormal,
    NiidBeta,
    NiidLabel,
    PfllibDir,
    PfllibExdir,
    PfllibPat,
)

Y = np.random.RandomState(7).randint(0, 10, 3000).astype(np.int64)
TEST = np.random.RandomState(8).randint(0, 10, 2400).astype(np.int64)


class Originals:
    """The random numbers of the originals: NumPy's global ones, and Python's where these are used.

    Parameters
    ----------
    python
        Draws that the original leaves to Python's `random`.
    """

    def __init__(self, seed: int, *python: str) -> None:
        self._numpy, self._own = np.random.RandomState(seed), random.Random(seed)
        self._python = python

    def shuffle(self, x: Any) -> None:
        (self._own if "shuffle" in self._python else self._numpy).shuffle(x)

    def integers(self, low: int, high: int, size: int | None = None) -> Any:
        if "integers" in self._python:
            return self._own.randint(low, high - 1)
        return self._numpy.randint(low, high, size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._numpy, name)


def digest(parts: Sequence[Any]) -> str:
    content = b"|".join(np.asarray(part, "<i8").tobytes() for part in parts)
    return hashlib.sha256(content).hexdigest()[:16]


def sizes(parts: Sequence[Any]) -> list[int]:
    return [len(part) for part in parts]


def test_pfllib_dir_is_the_originals() -> None:
    least = rules.least_of_pfllib(len(Y), 20)
    assert least == 40
    parts = rules.capped_dirichlet(Y, 20, 10, 0.1, least, Originals(3), "")
    assert sizes(parts)[:8] == [57, 98, 55, 297, 69, 76, 66, 209]
    assert digest(parts) == "a27086a5b7f589d8"


@pytest.mark.parametrize(
    ("balance", "first", "recorded"),
    [
        (False, [39, 39, 90, 459, 64, 66, 91, 348], "a6f618c2f468310d"),
        (True, [156, 156, 156, 159, 142, 142, 142, 143], "b685c8573bbd4c06"),
    ],
)
def test_pfllib_pat_is_the_originals(balance: bool, first: list[int], recorded: str) -> None:
    parts = rules.pfllib_pat(Y, 20, 10, 2, balance, Originals(3))
    assert sizes(parts)[:8] == first
    assert digest(parts) == recorded


def test_pfllib_exdir_is_the_originals() -> None:
    parts = rules.pfllib_exdir(Y, 20, 10, 3, 100.0, Originals(3))
    assert sizes(parts)[:8] == [158, 132, 185, 161, 143, 165, 173, 160]
    assert digest(parts) == "15f3e59b8c7caa4d"


def test_niid_labeldir_is_the_originals() -> None:
    rng = Originals(3)
    parts = rules.capped_dirichlet(Y, 10, 10, 0.5, 10, rng, "")
    for part in parts:
        rng.shuffle(part)
    assert sizes(parts)[:8] == [202, 145, 295, 321, 328, 211, 350, 439]
    assert digest(parts) == "08126daa0616ac1e"


def test_niid_label_is_the_originals() -> None:
    rng = Originals(3, "integers")
    parts = rules.niid_label(Y, rules.niid_labels(10, 10, 3, rng), 10, rng)
    assert sizes(parts)[:8] == [298, 315, 307, 212, 351, 398, 368, 224]
    assert digest(parts) == "ccc6300d4a7ab9bb"


def test_niid_quantity_is_the_originals() -> None:
    rng = Originals(3)
    order = rng.permutation(len(Y))
    shares = rules.niid_sizes(len(Y), 10, 0.5, rng)
    parts = np.split(order, (np.cumsum(shares) * len(Y)).astype(int)[:-1])
    assert sizes(parts)[:8] == [762, 49, 795, 705, 238, 14, 26, 100]
    assert digest(parts) == "fbba78ca5c2209af"


def test_fedrep_shards_are_the_originals() -> None:
    rng = Originals(3, "shuffle")
    own = rules.fedrep_labels(20, 10, 2, rng)
    parts = rules.fedrep_shards(Y, own, 10, rng) + rules.fedrep_shards(TEST, own, 10, rng)
    assert sizes(parts)[:8] == [149, 146, 150, 155, 148, 144, 151, 148]
    assert digest(parts) == "d6ccb89be1bfa2ad"


def test_lognormal_sizes_are_the_originals() -> None:
    rng = Originals(3)
    numbers = rules.lognormal_sizes(len(Y), 20, 1.0, rng)
    parts = np.split(rng.permutation(len(Y)), np.cumsum(numbers)[:-1])
    assert sizes(parts)[:8] == [619, 157, 112, 15, 77, 71, 93, 54]
    assert digest(parts) == "e6c99f75828ac65c"


@pytest.mark.parametrize(
    ("clients", "alpha", "first", "recorded"),
    [
        (20, 1.0, [19, 16, 5, 13, 34, 29, 3, 13, 0, 18], "5625c5a82bdfeed3"),
        (40, 10.0, [14, 8, 4, 6, 6, 2, 11, 12, 8, 4], "a40cedce0ef141af"),
    ],
)
def test_inner_dirichlet_is_the_originals(
    clients: int, alpha: float, first: list[int], recorded: str
) -> None:
    parts = rules.inner_dirichlet(Y, clients, 10, alpha, Originals(3), redraws=10**6)
    assert np.bincount(Y[parts[0]], minlength=10).tolist() == first
    assert digest(parts) == recorded


def test_hsu_has_the_shares_of_its_rule() -> None:
    """Means of the largest class share of each of four clients, and an expectation by hand.

    The means were recorded from 4,000 draws of a plain loop that draws sample by sample, with
    standard errors of 0.003.
    """
    y = np.repeat([0, 1, 2], [60, 30, 30])
    rng = np.random.default_rng(0)
    drawn = [rules.hsu(y, 4, 3, 1.0, rng) for _ in range(400)]
    shares = np.array([[np.bincount(y[p], minlength=3) / 30 for p in parts] for parts in drawn])
    largest = shares.max(axis=2).mean(axis=0)
    np.testing.assert_allclose(largest, [0.780, 0.767, 0.754, 0.766], atol=0.04)
    # of the first client, for whom every class lasts: E Σq² of Dir(αp), and n draws of q
    many = np.repeat([0, 1, 2], [6000, 3000, 3000])
    p, alpha, n = np.array([0.5, 0.25, 0.25]), 2.0, 1500
    first = [rules.hsu(many, 8, 3, alpha, rng)[0] for _ in range(200)]
    own = np.array([np.bincount(many[part], minlength=3) / n for part in first])
    of_q = (p * (alpha * p + 1)).sum() / (alpha + 1)
    expected = of_q + (1 - of_q) / n
    assert abs((own**2).sum(axis=1).mean() - expected) < 0.05
    np.testing.assert_allclose(own.mean(axis=0), p, atol=0.07)


def test_equal_sizes_and_used_up_classes_end() -> None:
    for rule in (rules.hsu, rules.inner_dirichlet):
        parts = rule(Y, 70, 10, 0.01, np.random.default_rng(0))
        assert sizes(parts) == [42] * 70
        assert len(np.unique(np.concatenate(parts))) == 42 * 70


def test_pfedme_mnist_is_the_originals() -> None:
    parts = rules.pfedme_mnist(Y, 20, 0, Originals(1))
    assert sizes(parts)[:8] == [116, 199, 39, 61, 27, 26, 34, 21]
    assert digest(parts) == "0be1faf07f77653e"


def pool(times: int = 1) -> Pool:
    """Return a pool whose samples say what they are: their number among all, and half of it."""
    y, n = np.tile(Y, times), 3000 * times
    x = np.arange(n + len(TEST), dtype=np.float32)[:, None] * np.float32([1, 0.5])
    return Pool(x[:n], y, x[n:], TEST, 10, "numbers", 500)


PARTITIONERS = {
    "pfllib-dir": recipes.PfllibDirPartitioner(PfllibDir()),
    "pfllib-pat": recipes.PfllibPatPartitioner(PfllibPat()),
    "pfllib-exdir": recipes.PfllibExdirPartitioner(PfllibExdir()),
    "pfedme-mnist": recipes.PfedmeMnistPartitioner(None),
    "fedrep-shards": recipes.FedrepShardsPartitioner(FedrepShards()),
    "niid-label": recipes.NiidLabelPartitioner(NiidLabel()),
    "niid-labeldir": recipes.NiidLabeldirPartitioner(NiidBeta()),
    "niid-quantity": recipes.NiidQuantityPartitioner(NiidBeta()),
    "hsu": recipes.HsuPartitioner(Hsu()),
    "inner-dirichlet": recipes.InnerDirichletPartitioner(InnerDirichlet()),
    "lognormal": recipes.LognormalPartitioner(Lognormal()),
}


@pytest.mark.parametrize("name", PARTITIONERS)
def test_no_sample_is_in_two_places_and_a_seed_repeats_it(name: str) -> None:
    partitioner = PARTITIONERS[name]
    data = pool(20 if name == "pfedme-mnist" else 1)
    made = build(data, partitioner, 20, 0)
    first = np.concatenate([made.split(split).x[:, 0].numpy() for split in SPLITS])
    assert len(np.unique(first)) == len(first)
    assert build(data, partitioner, 20, 0).index_hashes == made.index_hashes
    other = build(data, partitioner, 20, 1)
    assert other.index_hashes != made.index_hashes
    assert other.fingerprint == made.fingerprint


@pytest.mark.parametrize("name", ["pfllib-dir", "pfllib-pat", "pfllib-exdir"])
def test_pfllibs_merge_and_split_three_to_one(name: str) -> None:
    made = build(pool(), PARTITIONERS[name], 20, 0)
    whole = [made.split(split).sizes for split in SPLITS]
    total = np.sum(whole, axis=0)
    assert total.sum() == 5400
    np.testing.assert_array_equal(whole[2], total - (0.75 * total).astype(int))
    np.testing.assert_array_equal(whole[1], (total - whole[2]) // 4)
    # training samples of the data are in the test splits, and the other way round
    assert (made.test.x[:, 0] < 3000).any()
    assert (made.train.x[:, 0] >= 3000).any()


def test_pfedme_standardises_over_all_samples() -> None:
    data = pool(20)
    made = build(data, PARTITIONERS["pfedme-mnist"], 20, 0)
    every = np.concatenate([data.train_x, data.test_x])
    expected = (every - every.mean(axis=0)) / (every.std(axis=0) + np.float32(1e-3))
    known = {float(v) for v in expected[:, 0]}
    assert {float(v) for v in made.test.x[:, 0]} <= known
    assert all(len(np.unique(made.train.client(i)[1])) <= 2 for i in range(20))


def test_niid_label_has_the_same_classes_in_every_split() -> None:
    made = build(pool(), PARTITIONERS["niid-label"], 20, 0)
    for i in range(20):
        held = [set(made.split(split).client(i)[1].tolist()) for split in SPLITS]
        assert held[0] == held[1] == held[2]
        assert i % 10 in held[0]


REFUSED = {
    "pfllib-dir": (recipes.PfllibDirPartitioner(PfllibDir(alpha=0.001)), 200, "none of many draws"),
    "pfllib-exdir": (recipes.PfllibExdirPartitioner(PfllibExdir(11)), 20, "hold 11"),
    "pfedme-mnist": (PARTITIONERS["pfedme-mnist"], 15, "multiple of 10"),
    "fedrep-shards": (PARTITIONERS["fedrep-shards"], 7, "multiple of 10"),
    "niid-label": (recipes.NiidLabelPartitioner(NiidLabel(11)), 20, "hold 11"),
    "niid-quantity": (recipes.NiidQuantityPartitioner(NiidBeta(0.01)), 100, "none of many draws"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_made_is_refused_in_time(name: str) -> None:
    partitioner, clients, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        build(pool(), partitioner, clients, 0)
