"""Arrays in memory and archives on disk: one set of checks behind both doors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from pflbench import Federation
from pflbench.errors import InputError
from pflbench.federation import SPLITS, ClientArrays, DataRequest, build
from pflbench_datasets.arrays import load

Client = dict[str, Any]
Door = Callable[[list[Client]], Federation]
RNG = np.random.default_rng(0)
SIZES = {"train": 8, "val": 3, "test": 4}


def client(shape: tuple[int, ...] = (2, 3)) -> Client:
    """Arrays of three classes, each of which is in all splits."""
    return {f"{s}_x": RNG.random((n, *shape)).astype(np.float32) for s, n in SIZES.items()} | {
        f"{s}_y": np.arange(n) % 3 for s, n in SIZES.items()
    }


def every(change: Callable[[np.ndarray], Any], part: str, own: Client) -> Client:
    return {name: change(array) if name[-1] == part else array for name, array in own.items()}


@pytest.fixture(params=["memory", "folder"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Door:
    def folder(clients: list[Client]) -> Federation:
        for i, own in enumerate(clients):
            named = {f"{name[-1]}_{name[:-2]}": array for name, array in own.items()}
            np.savez(tmp_path / f"{i}.npz", **named)
        data = load(DataRequest("npz", path=tmp_path))
        assert isinstance(data, ClientArrays)
        return build(data, None, None, 0)

    return Federation.from_arrays if request.param == "memory" else folder


IMAGES = (1, 4, 5)
WRONG: dict[str, tuple[list[Client], str]] = {
    "labels from 1": ([every(lambda y: y + 1, "y", client())] * 2, "No label in .* is 0"),
    "a gap": ([every(lambda y: y * 2, "y", client())] * 2, "No label in .* is 1, but one is 4"),
    "one class": ([every(lambda y: y * 0, "y", client())] * 2, "two classes or more"),
    "negative": ([client(), every(lambda y: y - 1, "y", client())], "label -1, expected 0 or more"),
    "identifiers": ([every(lambda y: y + 2**40, "y", client())], "label 10995116277"),
    "fractions": ([every(lambda y: y / 2, "y", client())], "float64, expected whole numbers.$"),
    "whole floats": ([every(np.float64, "y", client())], r"float64, .* y.astype\(np.int64\)"),
    "truth values": ([every(lambda y: y > 0, "y", client())], r"bool, .* y.astype\(np.int64\)"),
    "texts": ([every(lambda y: y.astype(str), "y", client())], "<U21, .*np.unique"),
    "one-hot": ([every(lambda y: np.eye(3)[y], "y", client())], r"\(8, 3\), .* y.argmax\(axis=1\)"),
    "a column": ([every(lambda y: y[:, None], "y", client())], r"\(8, 1\), .* y.reshape\(-1\)"),
    "lengths": ([client(), client() | {"val_y": np.zeros(2, int)}], "each of 3 samples"),
    "empty": (
        [client(), client() | {"val_x": np.zeros((0, 2, 3)), "val_y": np.zeros(0, int)}],
        "it is empty",
    ),
    "no pixels": ([client((1, 0, 3))], "it is empty"),
    "NaN": ([client(), client() | {"test_x": np.full((4, 2, 3), np.nan)}], "are NaN"),
    "infinite": ([client() | {"test_x": np.full((4, 2, 3), 1e300)}], "infinite as float32"),
    "negative tokens": (
        [every(lambda x: (-9 * x).astype(int) - 1, "x", client())],
        r"int64, which are tokens, and one is -\d+: expected 0 to .* x.astype\(np.float32\)",
    ),
    "whole images": (
        [every(lambda x: np.abs(9 * x).astype(int), "x", client(IMAGES))],
        r"int64, expected uint8 .* x.astype\(np.float32\)",
    ),
    "tokens in one split": (
        [client(), client() | {"test_x": np.zeros((4, 2, 3), np.int64)}],
        "int64, but .* of float32: expected .* or tokens in both",
    ),
    "logical inputs": ([every(lambda x: x > 0.5, "x", client())], "bool, expected uint8"),
    "complex inputs": ([every(lambda x: x * 1j, "x", client())], "complex64, expected uint8"),
    "flat inputs": ([every(lambda x: x[:, 0, 0], "x", client())], "at least two dimensions"),
    "bytes in one split": (
        [client(), client() | {"test_x": np.zeros((4, 2, 3), np.uint8)}],
        "uint8, but .* of float32: expected .* in both",
    ),
    "another shape": ([client(), client((3, 2))], r"shape \(3, 2\), expected \(2, 3\) as in"),
    "another shape of a split": (
        [client() | {"val_x": np.zeros((3, 6))}],
        r"shape \(6,\), expected \(2, 3\)",
    ),
    "one split unscaled": (
        [client(IMAGES), client(IMAGES) | {"test_x": np.floor(RNG.random((4, *IMAGES)) * 255)}],
        "whole numbers up to 255 and .* fractions from 0 to 1: expected one scale",
    ),
    "bytes that are no pixels": (
        [every(lambda x: (99 * x[:, 0]).astype(np.uint8), "x", client())],
        r"shape \(3,\): .* x.astype\(np.float32\) keeps",
    ),
    "bytes in a row": (
        [every(lambda x: (99 * x[:, :1]).astype(np.uint8), "x", client())],
        r"shape \(1, 3\): .* no images",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_both_doors_refuse_what_does_not_fit(kind: str, door: Door) -> None:
    clients, message = WRONG[kind]
    with pytest.raises(InputError, match=message) as caught:
        door(clients)
    assert "\n" not in str(caught.value)


RIGHT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as they are": lambda x: x,
    "big-endian": lambda x: x.astype(">f4"),
    "double": lambda x: x.astype(np.float64),
    "by columns": np.asfortranarray,
    "every other of a larger array": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "backwards in memory": lambda x: x[::-1].copy()[::-1],
}


@pytest.mark.parametrize("kind", RIGHT)
def test_how_numbers_lie_in_memory_does_not_matter(kind: str, door: Door) -> None:
    own = client()
    made = door([every(RIGHT[kind], "x", own), every(np.uint8, "y", own)])
    plain = Federation.from_arrays([own, own])
    assert made.fingerprint == plain.fingerprint
    assert torch.equal(made.train.x, plain.train.x)
    assert made.train.x.is_contiguous()


def test_half_precision_is_taken_as_it_is(door: Door) -> None:
    made = door([every(lambda x: x.astype(np.float16), "x", client())])
    assert made.train.x.dtype == torch.float32
    brain = every(lambda x: torch.from_numpy(x).bfloat16(), "x", client())
    assert Federation.from_arrays([brain]).train.x.dtype == torch.float32


def test_with_classes_any_of_them_may_be_absent() -> None:
    own = every(lambda y: y + 1, "y", client())
    assert Federation.from_arrays([own], classes=9).classes == 9
    one = every(lambda y: y * 0, "y", client())
    assert Federation.from_arrays([one], classes=1).classes == 1


def test_a_client_without_validation_gets_a_quarter_of_its_training_samples(door: Door) -> None:
    whole = client()
    bare = {name: array for name, array in client().items() if name[:3] != "val"}
    made = door([whole, bare])
    assert made.train.sizes.tolist() == [8, 6]
    assert made.val.sizes.tolist() == [3, 2]
    x = torch.cat([made.train.client(1)[0], made.val.client(1)[0]])
    assert sorted(x.flatten().tolist()) == sorted(bare["train_x"].flatten().tolist())
    assert door([whole, bare]).fingerprint == made.fingerprint
    single = {name: array[:1] for name, array in bare.items()}
    with pytest.raises(InputError, match="holds 1 sample, and the client has no validation split"):
        door([whole, single])


def test_that_validation_was_drawn_is_said(door: Door, tmp_path: Path) -> None:
    bare = {name: array for name, array in client().items() if name[:3] != "val"}
    said = Federation.from_arrays([client(), bare]).remark
    assert said.startswith("1 of 2 clients has no validation split: a quarter of the training")
    assert Federation.from_arrays([bare, bare]).remark.startswith("No client has a validation")


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (lambda x: (x * 9).astype(np.uint8), "bytes .uint8. from 0 to 8: they are taken for pixel"),
        (lambda x: np.floor(x * 255), "whole numbers from 0 to 255 in floating point"),
        (lambda x: (x * 255).astype(np.uint8), ""),
        (lambda x: x * 255, ""),
        (lambda x: np.round(x), ""),
    ],
    ids=["small bytes", "pixels as floats", "pixels", "fractions", "black and white"],
)
def test_pixels_that_may_be_none_are_said(x: Callable[[Any], Any], said: str) -> None:
    own = every(x, "x", client((1, 6, 7)))
    remark = Federation.from_arrays([own, own]).remark
    assert (said in remark) if said and "." not in said else bool(said) == bool(remark)


@pytest.mark.parametrize(
    ("shape", "last"), [((12, 12, 3), True), ((9, 8, 1), True), ((3, 12, 12), False), ((8,), False)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_images_whose_channels_are_last_are_said(
    shape: tuple[int, ...], last: bool, dtype: type, tmp_path: Path
) -> None:
    if dtype is np.uint8 and len(shape) == 1:
        pytest.skip("bytes with one axis are refused")
    own = every(lambda x: (x * 255).astype(dtype), "x", client(shape))
    said = f"The samples have shape {shape}, as images have whose channels are last"
    assert (said in Federation.from_arrays([own]).remark) is last
    np.savez(tmp_path / "pool.npz", x=own["train_x"], y=own["train_y"])
    assert (said in load(DataRequest("npz", path=tmp_path / "pool.npz")).remark) is last
    assert "x.transpose(0, 3, 1, 2)" in Federation.from_arrays([own]).remark or not last


def test_splits_may_be_pairs_or_tensor_data_sets() -> None:
    own = client()
    plain = Federation.from_arrays([own])
    tensors = {k: torch.from_numpy(v) for k, v in own.items()}
    for pair in (lambda x, y: (x, y), lambda x, y: [x, y], TensorDataset):
        splits = {s: pair(tensors[f"{s}_x"], tensors[f"{s}_y"]) for s in SPLITS}
        assert Federation.from_arrays([splits]).fingerprint == plain.fingerprint


class Lazy(Dataset[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> Any:
        return torch.zeros(2), i


POINTS = TensorDataset(torch.zeros(4, 2), torch.arange(4) % 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([POINTS, POINTS], "Client 0 is a TensorDataset, expected its arrays by name"),
        ([(np.zeros(3), np.zeros(3))], "Client 0 is a tuple, expected"),
        ([{"train": POINTS, "val": POINTS, "test": Lazy()}], "test of client 0 is a Lazy, .*stack"),
        ([{"train": POINTS, "val": POINTS, "test": np.zeros((4, 2))}], "test of client 0 is an nd"),
        ([{"train": (1, 2, 3), "test": POINTS}], "train of client 0 is a tuple, expected the pair"),
        ({"train": POINTS, "test": POINTS}, "arrays of one client were given"),
        ({"train_x": np.zeros((4, 2))}, "arrays of one client were given"),
        (POINTS, "A TensorDataset was given where a list of clients was expected"),
        (np.zeros((3, 2)), "An ndarray was given where a list"),
        (7, "An int was given where a list"),
        ({}, "at least one client"),
        ({1.5: {}}, "called 1.5, expected a text or a whole number"),
        ([{"train": POINTS}], "Client 0 lacks test_x, test_y"),
        ({"Berlin": {"train": POINTS}}, r"Client 0 \(Berlin\) lacks test_x, test_y"),
        (
            [{"train_x": torch.zeros(4, 2).to_sparse(), "train_y": [0], "test": POINTS}],
            "train_x of client 0 is not an array",
        ),
        (
            [{"train_x": np.ma.masked_less(np.eye(4), 0.5), "train_y": [0] * 4, "test": POINTS}],
            "masked values",
        ),
    ],
)
def test_what_is_no_list_of_clients_is_refused_in_a_sentence(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Federation.from_arrays(given)
    assert "\n" not in str(caught.value)


def test_the_clients_of_a_mapping_keep_their_names_in_natural_order() -> None:
    a, b = client(), client()
    made = Federation.from_arrays({"c10": b, "c2": a})
    assert made.names == ("c2", "c10")
    assert made.fingerprint == Federation.from_arrays([a, b]).fingerprint
    assert made.called(1) == "client 1 (c10)"
    assert made.only(np.array([1])).names == ("c10",)
    assert Federation.from_arrays({10: b, 9: a}).names == ("9", "10")
    assert Federation.from_arrays([a, b]).called(1) == "client 1"
    with pytest.raises(InputError, match="3 names were given for 2 clients"):
        Federation.from_arrays([a, b], names=["a", "b", "c"])
