"""Every built-in population, through the plugin door: who is changed, in what, and in what not."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pflbench.federation.populations
from pflbench import Federation
from pflbench.errors import InputError
from pflbench.federation import SPLITS, Pool, Population, populate
from pflbench.federation.partitioners.partitioner_settings import Rotated
from pflbench.federation.partitioners.rotated import RotatedPartitioner
from pflbench.schema.expressions import parse_expression
from pflbench.schema.parameters import parse_parameters
from pflbench.schema.plugins import load
from pflbench.schema.specs import resolve

REGISTRY = load([], {"built-in": pflbench.federation.populations})
FOREIGN = 1000.0
"""What the foreign samples' pixels are above."""


def make(text: str) -> Population:
    expression = parse_expression(text, kind="population")
    spec = REGISTRY.get(REGISTRY.populations, expression.name)
    parameters = parse_parameters(spec.parameters, expression.arguments, owner=spec.name)
    made: Population = resolve(spec.make, owner=spec.name)(parameters)
    return made


@st.composite
def federations(draw: st.DrawFn, least: int = 2) -> Federation:
    """Clients of 1 to 8 samples a split, each a 2×2 image that holds its own number."""
    clients = draw(st.integers(least, 9))
    classes = draw(st.integers(2, 5))
    count, arrays = 0, []
    for _ in range(clients):
        own: dict[str, Any] = {}
        for split in SPLITS:
            y = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=8))
            first = count + np.arange(len(y), dtype=np.float32)
            own[f"{split}_x"] = first[:, None, None, None] + np.array([[0, 0.1], [0.2, 0.3]])
            own[f"{split}_y"] = y
            count += len(y)
        arrays.append(own)
    return Federation.from_arrays(arrays, classes)


def others(classes: int, each: int = 200, seed: int = 0) -> Pool:
    """Another data set: 2×2 images whose first pixel says which sample it is."""
    rng = np.random.default_rng(seed)
    sizes = {"train": 2 * each, "test": each}
    x = {s: np.zeros((n, 1, 2, 2), dtype=np.float32) for s, n in sizes.items()}
    x["train"][:, 0, 0, 0] = FOREIGN + np.arange(2 * each)
    x["test"][:, 0, 0, 0] = 2 * FOREIGN + np.arange(each)
    y = {s: rng.integers(0, classes, n) for s, n in sizes.items()}
    return Pool(x["train"], y["train"], x["test"], y["test"], classes, "numbered images", each)


def peopled(federation: Federation, text: str, seed: int = 0, **more: Any) -> Federation:
    return populate(federation, make(text), seed, name=text, **more)


def groups_of(federation: Federation) -> np.ndarray:
    assert federation.groups is not None
    return federation.groups


def is_share(groups: np.ndarray, share: float) -> bool:
    count = int((groups > 0).sum())
    return abs(count - share * len(groups)) <= 0.5 + 1e-9 or count == 1


@pytest.mark.slow
@given(federation=federations(), share=st.floats(0.05, 1), seed=st.integers(0, 2**32))
def test_permuted_labels(federation: Federation, share: float, seed: int) -> None:
    made = peopled(federation, f"permuted-labels(share={share})", seed)
    groups = groups_of(made)
    assert is_share(groups, share)
    for i in range(federation.clients):
        names: dict[int, int] = {}
        for split in SPLITS:
            (x, y), (seen, told) = federation.split(split).client(i), made.split(split).client(i)
            assert torch.equal(x, seen)
            for old, new in zip(y.tolist(), told.tolist(), strict=True):
                assert names.setdefault(old, new) == new, "one permutation in all splits"
        assert len(set(names.values())) == len(names), "no two labels become one"
        if not groups[i]:
            assert all(old == new for old, new in names.items())


def test_each_permutation_is_the_clients_own_and_changes_something() -> None:
    whole = [
        {
            f"{s}_{p}": v
            for s in SPLITS
            for p, v in (("x", np.zeros((6, 1, 1, 1))), ("y", np.arange(6)))
        }
    ] * 30
    made = peopled(Federation.from_arrays(whole, 6), "permuted-labels(share=0.5)")
    unlike = np.flatnonzero(groups_of(made))
    assert len(unlike) == 15
    drawn = {tuple(made.train.client(i)[1].tolist()) for i in unlike}
    assert len(drawn) > 10
    assert all(sorted(names) == list(range(6)) for names in drawn)
    assert tuple(range(6)) not in drawn
    two = Federation.from_arrays(
        [{f"{s}_{p}": v for s in SPLITS for p, v in (("x", [[0.0], [1.0]]), ("y", [0, 1]))}] * 20
    )
    swapped = peopled(two, "permuted-labels(share=1)")
    assert all(swapped.train.client(i)[1].tolist() == [1, 0] for i in range(20))
    assert is_share(groups_of(swapped), 1)
    # Distances tell the share of the labels that two clients name otherwise.
    points = made.coordinates
    assert points is not None
    a, b = unlike[:2]
    differ = float((made.train.client(a)[1] != made.train.client(b)[1]).float().mean())
    assert ((points[a] - points[b]) ** 2).sum() == pytest.approx(2 * differ)
    like = np.flatnonzero(groups_of(made) == 0)
    assert np.ptp(points[like], axis=0).max() == 0


@pytest.mark.slow
@given(federation=federations(), share=st.floats(0.05, 0.95), seed=st.integers(0, 2**32))
def test_foreign(federation: Federation, share: float, seed: int) -> None:
    pool = others(federation.classes)
    made = peopled(federation, f"foreign(share={share})", seed, other=pool)
    groups = groups_of(made)
    assert is_share(groups, share) or (groups > 0).sum() == federation.clients - 1
    drawn: list[float] = []
    for split in SPLITS:
        assert np.array_equal(made.split(split).sizes, federation.split(split).sizes)
        source, start = (pool.test_y, 2) if split == "test" else (pool.train_y, 1)
        for i in range(federation.clients):
            (x, y), (seen, told) = federation.split(split).client(i), made.split(split).client(i)
            if not groups[i]:
                assert torch.equal(x, seen)
                assert torch.equal(y, told)
                continue
            number = seen[:, 0, 0, 0].numpy()
            assert (number >= FOREIGN * start).all(), "a sample of the other data set, same split"
            drawn += number.tolist()
            assert (source[(number - FOREIGN * start).astype(int)] == told.numpy()).all()
            assert torch.equal(told, y), "and of the labels that the client had"
    assert len(set(drawn)) == len(drawn), "no sample with two clients, or in two splits"
    train, val = ({*made.split(s).x[:, 0, 0, 0].tolist()} for s in ("train", "val"))
    assert not train & val


@given(federation=federations(), minority=st.floats(0.05, 0.5), seed=st.integers(0, 2**32))
def test_groups(federation: Federation, minority: float, seed: int) -> None:
    relabelled = peopled(federation, f"groups(minority={minority})", seed)
    turned = peopled(federation, f"groups(minority={minority}, change=turn)", seed)
    groups = groups_of(relabelled)
    assert np.array_equal(groups, groups_of(turned))
    assert is_share(groups, minority) or (groups > 0).sum() == federation.clients // 2
    assert (groups > 0).sum() <= federation.clients / 2
    names: dict[int, int] = {}
    for split in SPLITS:
        for i in range(federation.clients):
            x, y = federation.split(split).client(i)
            seen, told = relabelled.split(split).client(i)
            upside, same = turned.split(split).client(i)
            assert torch.equal(x, seen)
            assert torch.equal(y, same)
            if not groups[i]:
                assert torch.equal(y, told)
                assert torch.equal(x, upside)
                continue
            assert torch.equal(x.flip(-1, -2), upside)
            for old, new in zip(y.tolist(), told.tolist(), strict=True):
                assert names.setdefault(old, new) == new, "all of the minority in the same way"
    assert len(set(names.values())) == len(names)


@pytest.mark.mostly_slow("groups")
@pytest.mark.parametrize("text", ["permuted-labels", "foreign", "groups", "groups(change=turn)"])
@given(federation=federations(), seed=st.integers(0, 2**32))
def test_a_population_is_a_federation_of_its_own(
    text: str, federation: Federation, seed: int
) -> None:
    other = others(federation.classes) if text == "foreign" else None
    before = {split: federation.split(split).x.clone() for split in SPLITS}
    labels = {split: federation.split(split).y.clone() for split in SPLITS}
    made, again = (peopled(federation, text, seed, other=other) for _ in range(2))
    for split in SPLITS:
        assert torch.equal(federation.split(split).x, before[split]), "the given one is left alone"
        assert torch.equal(federation.split(split).y, labels[split])
        assert torch.equal(made.split(split).x, again.split(split).x), "one seed, one population"
        assert torch.equal(made.split(split).y, again.split(split).y)
        assert made.index_hashes[split] != federation.index_hashes[split]
    assert made.index_hashes == again.index_hashes
    assert made.fingerprint == again.fingerprint != federation.fingerprint
    assert made.coordinates is not None
    assert len(made.coordinates) == federation.clients
    if other is not None:
        elsewhere = peopled(federation, text, seed, other=others(federation.classes, seed=1))
        assert elsewhere.fingerprint != made.fingerprint, "what the other data hold counts"


def test_coordinates_join_those_that_are_known() -> None:
    federation = Federation.from_arrays(
        [
            {
                f"{s}_{p}": v
                for s in SPLITS
                for p, v in (("x", np.zeros((3, 1, 2, 2))), ("y", [0, 1, 2]))
            }
        ]
        * 8
    )
    partitioner = RotatedPartitioner(Rotated(step=45))
    known = partitioner.coordinates(8)
    turned = dataclasses.replace(federation, coordinates=known)
    made = peopled(turned, "groups(minority=0.25)")
    assert made.coordinates is not None
    assert np.array_equal(made.coordinates[:, :2], known)
    assert np.array_equal(made.coordinates[:, 2:].argmax(axis=1), groups_of(made))
    # Images turned by the partition and by the population: how they relate is not told.
    assert peopled(turned, "groups(change=turn)").coordinates is None
    assert peopled(federation, "groups(change=turn)").coordinates is not None


def test_foreign_clients_see_their_images_as_the_partition_says() -> None:
    federation = Federation.from_arrays(
        [{f"{s}_{p}": v for s in SPLITS for p, v in (("x", np.zeros((2, 1, 2, 2))), ("y", [0, 1]))}]
        * 4
    )
    partitioner = RotatedPartitioner(Rotated(step=90))
    made = peopled(
        federation, "foreign(share=0.75)", other=others(2), transform=partitioner.transform
    )
    corner = {0: (0, 0), 1: (1, 0), 2: (1, 1), 3: (0, 1)}  # counter-clockwise
    for i in np.flatnonzero(groups_of(made)):
        x, _ = made.train.client(i)
        assert (x[:, 0][:, *corner[int(i)]] >= FOREIGN).all()


def test_what_cannot_be_made_is_refused_in_a_sentence() -> None:
    arrays = {
        f"{s}_{p}": v
        for s in SPLITS
        for p, v in (("x", np.zeros((5, 1, 2, 2))), ("y", [0, 1, 2, 0, 1]))
    }
    federation = Federation.from_arrays([arrays] * 6)
    one = Federation.from_arrays([arrays])
    flat = Federation.from_arrays(
        [{k: v if "_y" in k else np.zeros((5, 4)) for k, v in arrays.items()}] * 2
    )
    with pytest.raises(InputError, match="training samples is 9, too few for the clients"):
        peopled(federation, "foreign(share=0.5)", other=others(3, each=9))
    with pytest.raises(InputError, match=r"shape \(1, 2, 2\) and 4 classes, expected .* 3 classes"):
        peopled(federation, "foreign", other=others(4))
    with pytest.raises(InputError, match=r"expected shape \(4,\)"):
        peopled(flat, "foreign", other=others(3))
    with pytest.raises(InputError, match="at least 2 clients"):
        peopled(one, "foreign", other=others(3))
    with pytest.raises(InputError, match="at least 2 clients"):
        peopled(one, "groups")
    with pytest.raises(InputError, match="turns images of shape"):
        peopled(flat, "groups(change=turn)")
    single = Federation.from_arrays([{**arrays, **{f"{s}_y": [0] * 5 for s in SPLITS}}] * 3, 1)
    with pytest.raises(InputError, match="labels of a single class"):
        peopled(single, "permuted-labels")
    for text in (
        "groups(minority=0.6)",
        "foreign(share=1)",
        "permuted-labels(share=0)",
        "groups(change=colour)",
        "groups(share=0.2)",
    ):
        with pytest.raises(InputError):
            make(text)


def test_where_a_class_runs_out_others_take_its_place() -> None:
    arrays = {
        f"{s}_{p}": v for s in SPLITS for p, v in (("x", np.zeros((8, 1, 2, 2))), ("y", [0] * 8))
    }
    federation = Federation.from_arrays([arrays] * 4, classes=3)
    made = peopled(federation, "foreign(share=0.75)", other=others(3, each=30))
    labels = made.train.y.numpy()[np.repeat(groups_of(made), 8) > 0]
    assert (labels == 0).any()
    assert (labels > 0).any()
    numbers = made.train.x[:, 0, 0, 0][torch.from_numpy(np.repeat(groups_of(made), 8) > 0)]
    assert len(set(numbers.tolist())) == 24


def test_the_records_are_whole_and_import_no_torch() -> None:
    assert REGISTRY.problems == []
    assert REGISTRY.populations.names() == ["foreign", "groups", "permuted-labels"]
    for spec in REGISTRY.populations.specs():
        assert issubclass(resolve(spec.make, owner=spec.name), Population)
    code = (
        "import pflbench.federation.populations as p, sys; p.pflbench_populations(); "
        "sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
