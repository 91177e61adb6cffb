"""Federations from what people have in Python: data frames, torch's data sets, samples by index."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

from pflbench import Federation
from pflbench.errors import InputError
from pflbench.federation import SPLITS, DataRequest, build
from pflbench.federation.partitioners.natural import NaturalPartitioner
from pflbench_datasets.table_loading import load_csv

RNG = np.random.default_rng(0)
N = 60
X = np.arange(N, dtype=np.float32)[:, None] * np.float32([1, 0.5])
Y = np.arange(N) % 3


def frame() -> pd.DataFrame:
    """Return rows that say their number, of four hospitals."""
    return pd.DataFrame(
        {
            "row": np.arange(N, dtype=float),
            "half": np.arange(N) / 2,
            "ill": [("no", "yes")[i % 2] for i in range(N)],
            "hospital": [f"h{(i // 2) % 12}" for i in range(N)],
        }
    )


def rows(federation: Federation, split: Any) -> list[int]:
    return sorted(federation.split(split).x.reshape(-1, 2)[:, 0].int().tolist())


def test_a_frame_keeps_names_and_numbers_its_labels() -> None:
    made = Federation.from_frame(frame(), label="ill", client="hospital")
    assert made.names == tuple(f"h{i}" for i in range(12))  # h2 before h10
    assert "0 = 'no', 1 = 'yes'" in made.remark
    assert "a fifth of each client's samples" in made.remark
    assert sorted(rows(made, "train") + rows(made, "val") + rows(made, "test")) == list(range(N))
    for split in SPLITS:
        shards = made.split(split)
        for i in range(12):
            x, y = shards.client(i)
            assert {(int(row) // 2) % 12 for row in x[:, 0]} == {i}
            assert (y == x[:, 0].long() % 2).all()


def test_a_frame_has_the_test_samples_of_the_same_table_in_a_file(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    path = Path(f"{tmp_path}/t.csv?label=ill&client=hospital")
    written = build(load_csv(DataRequest("csv", path=path)), NaturalPartitioner(None), None, 0)
    made = Federation.from_frame(frame(), label="ill", client="hospital")
    assert made.names == written.names
    assert rows(made, "test") == rows(written, "test")


def test_a_frame_with_splits_and_arrays_in_its_cells() -> None:
    split = [("train", "valid", "test")[i % 3] for i in range(N)]
    cells = frame()[["ill", "hospital"]].assign(
        x=[np.full((1, 4, 4), i, np.uint8) for i in range(N)], s=split
    )
    cells["hospital"] = np.arange(N) // 30
    made = Federation.from_frame(cells, label="ill", client="hospital", split="s")
    assert made.input_shape == (1, 4, 4)
    assert made.names == ("0", "1")
    assert (made.val.x[:, 0, 0, 0] * 255).round().int().tolist() == list(range(1, N, 3))


def test_categories_without_samples_are_classes() -> None:
    ill = pd.Categorical(frame()["ill"], categories=["yes", "perhaps", "no"])
    made = Federation.from_frame(frame().assign(ill=ill), label="ill", client="hospital")
    assert made.classes == 3
    assert sorted(set(made.train.y.tolist())) == [0, 2]
    numbers = frame().assign(ill=Y)
    assert Federation.from_frame(numbers, label="ill", client="hospital", classes=7).classes == 7


WRONG_FRAMES: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "no frame": (dict, {}, "Expected a pandas DataFrame, not of type dict"),
    "no column": (frame, {"client": "hospitl"}, "Did you mean 'hospital'"),
    "two roles": (frame, {"client": "ill"}, "two roles"),
    "fractions": (frame, {"label": "half"}, "no regression"),
    "infinite labels": (
        lambda: frame().assign(half=np.inf),
        {"label": "half", "inputs": ["row"]},
        "such as inf: expected classes",
    ),
    "texts": (lambda: frame().assign(ward="a"), {}, "Column 'ward' holds texts, .*get_dummies"),
    "dates": (lambda: frame().assign(day=pd.Timestamp("2020-01-01")), {}, "'day' holds values of"),
    "missing": (
        lambda: frame().assign(half=lambda f: f["half"].where(f["row"] > 1)),
        {},
        r"2 in 'half' \(first in row 0",
    ),
    "few rows": (lambda: frame().head(26), {}, "'h1' has 2 rows, expected 3"),
    "no rows": (lambda: frame().head(0), {}, "no rows"),
    "a split": (lambda: frame().assign(s="tran"), {"split": "s"}, "'tran', expected train"),
    "no test": (lambda: frame().assign(s="train"), {"split": "s"}, "lacks test_x"),
    "twice": (lambda: pd.concat([frame(), frame()], axis=1), {}, "Two columns are called 'row'"),
    "ragged": (
        lambda: frame().assign(row=[np.zeros(2 + i % 2) for i in range(N)]),
        {},
        r"Sample 1 of column 'row' has shape \(3,\)",
    ),
    "infinite": (lambda: frame().assign(row=1e300), {}, "infinite as float32"),
}


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_a_wrong_frame_is_refused_in_a_sentence(name: str) -> None:
    make, options, message = WRONG_FRAMES[name]
    with pytest.raises(InputError, match=message):
        Federation.from_frame(make(), **({"label": "ill", "client": "hospital"} | options))


class Pictures(Dataset[Any]):
    """Images of Pillow whose grey says their number; noise makes them others each time."""

    def __init__(self, n: int, noise: bool = False) -> None:
        self.n, self.noise = n, noise

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        pixels = np.full((4, 5), i, np.uint8)
        if self.noise:
            pixels = RNG.integers(0, 255, (4, 5)).astype(np.uint8)
        return Image.fromarray(pixels), torch.tensor(i % 2)


def test_torch_data_sets_are_read_once() -> None:
    made = Federation.from_torch(
        {"b": Pictures(12), "a": {"train": Pictures(8), "test": Subset(Pictures(8), [2, 5])}}
    )
    assert made.names == ("a", "b")
    assert made.input_shape == (1, 4, 5)
    assert (made.test.client(0)[0][:, 0, 0, 0] * 255).round().int().tolist() == [2, 5]
    assert made.train.sizes.tolist() == [6, 8]  # a quarter of 8, and of the 10 that are no test
    assert made.test.sizes.tolist() == [2, 2]
    tensors = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    both = Federation.from_torch([tensors]), Federation.from_pool((X, Y), [range(N)])
    assert both[0].fingerprint == both[1].fingerprint


def test_a_partition_divides_samples() -> None:
    made = Federation.from_pool((X, Y), {"b": range(40), "a": np.arange(59, 39, -1)})
    assert made.names == ("a", "b")
    own = [rows(made.only(np.array([i])), split) for i in (0, 1) for split in SPLITS]
    assert sorted(itertools.chain(*own[:3])) == list(range(40, 60))
    by_split = [
        {"train": [0, 4, 2], "val": [1], "test": [3, 9, 5]},
        {"train": [6, 7, 8], "val": [10], "test": [3, 11]},  # the test samples may be shared
    ]
    given = Federation.from_pool((X, Y), by_split)
    assert given.train.x[:, 0].tolist() == [0, 4, 2, 6, 7, 8]
    assert given.val.x[:, 0].tolist() == [1, 10]
    assert given.test.x[:, 0].tolist() == [3, 9, 5, 3, 11]


def test_a_test_set_is_given_out_in_the_clients_shares_of_classes() -> None:
    partition = [np.flatnonzero(Y == 0), np.flatnonzero(Y != 0)]
    made = Federation.from_pool((X, Y), partition, test=(X + 1000, Y))
    assert set(made.test.client(0)[1].tolist()) == {0}
    assert made.test.sizes.tolist() == [20, 40]
    assert made.test.x[:, 0].min() >= 1000


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "noise": (lambda: Federation.from_torch([Pictures(9, noise=True)]), "draws at random"),
    "one set": (lambda: Federation.from_torch(Pictures(9)), "Federation.from_pool"),
    "few": (lambda: Federation.from_torch([Pictures(2)]), "Client 0 has 2 samples, expected 3"),
    "no pairs": (lambda: Federation.from_torch([Subset(X, [0, 1])]), "expected a pair"),
    "twice": (lambda: Federation.from_pool((X, Y), [[0, 1, 1]]), "training sample 1 twice"),
    "shared": (
        lambda: Federation.from_pool((X, Y), {"a": [0, 1, 2], "b": [3, 2]}),
        r"Sample 2 .* training of client 0 \(a\) and training of client 1 \(b\)",
    ),
    "leak": (
        lambda: Federation.from_pool((X, Y), [{"train": [0, 1], "test": [1]}]),
        "training of client 0 and test of client 0",
    ),
    "beyond": (lambda: Federation.from_pool((X, Y), [[0, 60]]), "sample 60, .* 0 to 59"),
    "negative": (lambda: Federation.from_pool((X, Y), [[0, -1]]), "sample -1"),
    "fractions": (lambda: Federation.from_pool((X, Y), [[0, 0.5]]), "no whole numbers"),
    "empty": (lambda: Federation.from_pool((X, Y), [[0, 1, 2], []]), "Client 1: the list is empty"),
    "no clients": (lambda: Federation.from_pool((X, Y), []), "has no clients"),
    "splits": (lambda: Federation.from_pool((X, Y), {"train": [0]}), "where clients were expected"),
    "a name": (
        lambda: Federation.from_pool((X, Y), [{"train": [0], "tst": [1]}]),
        "Did you mean 'test'",
    ),
    "some tests": (
        lambda: Federation.from_pool((X, Y), [{"train": [0, 1], "test": [2]}, [3, 4]]),
        "client 1 none",
    ),
    "labels": (lambda: Federation.from_pool((X, Y / 2), [[0, 1]]), "expected whole numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_samples_or_partitions_are_refused_in_a_sentence(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        make()


class Labels:
    """The feature of a column of class labels."""

    names = ("cat", "dog", "owl")


class Table:
    """The part of a Dataset of Hugging Face that is used."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.columns = columns
        self.column_names = list(columns)
        self.features = dict.fromkeys(columns) | {"label": Labels()}

    def __len__(self) -> int:
        return len(self.columns["label"])

    def __getitem__(self, name: str) -> list[Any]:
        return self.columns[name]


def own_table(columns: dict[str, list[Any]]) -> Any:
    return Table(columns)


def real_table(columns: dict[str, list[Any]]) -> Any:
    """Return a Dataset of the package, where that is installed."""
    data_set = pytest.importorskip("datasets.arrow_dataset").Dataset
    label = pytest.importorskip("datasets.features").ClassLabel(names=list(Labels.names))
    return data_set.from_dict(columns).cast_column("label", label)


@pytest.mark.parametrize("table", [own_table, real_table])
def test_data_sets_of_hugging_face(table: Callable[[dict[str, list[Any]]], Any]) -> None:
    def columns(n: int) -> dict[str, list[Any]]:
        pictures = [Image.fromarray(np.full((4, 5, 3), i, np.uint8)) for i in range(n)]
        return {
            "image": pictures,
            "label": [i % 2 for i in range(n)],
            "writer": [f"w{i % 3}" for i in range(n)],
        }

    whole = Federation.from_huggingface(table(columns(30)), client="writer")
    assert whole.names == ("w0", "w1", "w2")
    assert whole.classes == 3  # owls have no sample
    assert whole.input_shape == (3, 4, 5)
    assert (whole.test.x[:, 0, 0, 0] * 255).round().max() < 30
    splits = {"train": table(columns(24)), "test": table(columns(9))}
    assert Federation.from_huggingface(splits, client="writer").test.sizes.tolist() == [3, 3, 3]
    each = Federation.from_huggingface([table(columns(9)), table(columns(12))], inputs=["image"])
    assert (each.train.sizes + each.val.sizes + each.test.sizes).tolist() == [9, 12]
    named = Federation.from_huggingface({"b": splits, "a": splits}, inputs="image")
    assert named.names == ("a", "b")
    for wrong, options, message in (
        (table(columns(9)), {}, "client= is missing"),
        ([table(columns(9))], {"client": "writer"}, "with a list of clients"),
        ([table(columns(9)), splits], {"inputs": "image"}, "Some clients have splits"),
        (table(columns(9)), {"client": "writr"}, "Did you mean 'writer'"),
        (iter([1]), {}, "streaming"),
        ([3], {}, "Client 0 is of type int"),
        ([table(columns(9))], {}, "holds texts"),
    ):
        with pytest.raises(InputError, match=message):
            Federation.from_huggingface(wrong, **options)
