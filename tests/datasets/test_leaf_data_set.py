"""Folders of LEAF: read as they are, and hostile or damaged ones refused."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pflbench.errors import InputError
from pflbench.federation import ClientArrays, DataRequest, build
from pflbench_datasets import recognition
from pflbench_datasets.leaf_folder import load
from pflbench_datasets.leaf_text import LETTERS

RNG = np.random.default_rng(0)
User = tuple[list[Any], list[Any]]


def write(path: Path, users: Mapping[str, User], **more: Any) -> None:
    """Write a file as LEAF's scripts do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
        **more,
    }
    path.write_text(json.dumps(content))


def rows(n: int, width: int = 6) -> User:
    return RNG.random((n, width)).round(3).tolist(), [i % 3 for i in range(n)]


def load_from(root: Path) -> ClientArrays:
    return load(DataRequest("leaf", path=root))


def refused(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_from(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_users_of_several_files_keep_their_split(tmp_path: Path) -> None:
    train = {"f_2": rows(8), "f_10": rows(9), "f_1": rows(4)}
    test = {user: rows(3) for user in train}
    write(tmp_path / "train" / "a_1.json", {"f_10": train["f_10"], "f_1": train["f_1"]})
    write(tmp_path / "train" / "a_2.json", {"f_2": train["f_2"]}, hierarchies=["p"])
    write(tmp_path / "test" / "a.json", test)
    data = load_from(tmp_path)
    assert data.names == ("f_1", "f_2", "f_10")
    federation = build(data, None, None, 0)
    for i, name in enumerate(data.names):
        x, y = federation.test.client(i)
        np.testing.assert_array_equal(x.numpy(), np.array(test[name][0], np.float32))
        assert y.tolist() == test[name][1]
    assert (federation.train.sizes + federation.val.sizes).tolist() == [4, 8, 9]


def test_a_user_of_two_files_has_the_samples_of_both(tmp_path: Path) -> None:
    first, second = rows(5), rows(4)
    write(tmp_path / "data" / "train" / "x_0.json", {"a": first})
    write(tmp_path / "data" / "train" / "x_1.json", {"a": second})
    write(tmp_path / "data" / "test" / "x_0.json", {"a": rows(3)})
    federation = build(load_from(tmp_path), None, None, 0)
    assert federation.train.sizes[0] + federation.val.sizes[0] == 9


def test_a_folder_without_a_split_gets_one_within_each_user(tmp_path: Path) -> None:
    write(tmp_path / "all_data" / "data.json", {"a": rows(20), "b": rows(10)})
    federation = build(load_from(tmp_path), None, None, 0)
    assert federation.test.sizes.tolist() == [4, 2]
    again = build(load_from(tmp_path), None, None, 1)
    assert again.test.x.equal(federation.test.x)


def test_femnist_has_images_and_says_which_labels_are_absent(tmp_path: Path) -> None:
    x = (RNG.integers(0, 256, (6, 784)) / 255).tolist()
    for split in ("train", "test"):
        write(tmp_path / split / "all.json", {"w": (x, [0, 1, 1, 61, 0, 61])})
    data = load_from(tmp_path)
    assert data.classes == 62
    assert data.clients[0]["test_x"].shape == (6, 1, 28, 28)
    assert "images of 1×28×28. No sample has the labels 2, 3, " in data.remark


def test_shakespeare_is_tokens_by_leafs_table(tmp_path: Path) -> None:
    x = ["to be, or", "not to be", "that is t"]
    users = {"HAMLET": (x * 2, list("nohnoh"))}
    for split in ("train", "test"):
        write(tmp_path / split / "all.json", users)
    data = load_from(tmp_path)
    federation = build(data, None, None, 0)
    assert data.classes == len(LETTERS) == 80
    assert ["".join(LETTERS[i] for i in row) for row in federation.test.x.tolist()] == x * 2
    assert [LETTERS[i] for i in federation.test.y.tolist()] == list("nohnoh")


def test_sent140_is_words_of_the_training_texts(tmp_path: Path) -> None:
    def cells(text: str) -> list[str]:
        return ["1467", "Mon Apr 06", "NO_QUERY", "someone", text, "x"]

    train = [cells("good day good"), cells("bad day!"), cells("good"), cells("day bad")]
    write(tmp_path / "train" / "a.json", {"u": (train, [1, 0, 1, 0])})
    write(tmp_path / "test" / "a.json", {"u": ([cells("good night")], [1])})
    data = load_from(tmp_path)
    assert data.clients[0]["test_x"][0, :3].tolist() == [3, 1, 0]  # day, good, then bad
    assert "first 25 words" in data.remark


def test_celeba_has_the_images_that_it_names(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "img_align_celeba"
    raw.mkdir(parents=True)
    for i in range(6):
        Image.fromarray(np.full((20, 16, 3), i, np.uint8)).save(raw / f"{i}.png")
    names = [f"{i}.png" for i in range(6)]
    for split in ("train", "test"):
        write(tmp_path / split / "a.json", {"c": (names, [0, 1] * 3)})
    own = load_from(tmp_path).clients[0]
    assert own["test_x"].shape == (6, 3, 84, 84)
    assert own["test_x"][:, 0, 0, 0].tolist() == list(range(6))
    for name in ("../3.png", "/etc/x.png", "..\\x.png"):
        write(tmp_path / "test" / "a.json", {"c": ([name] * 2, [0, 1])})
        assert "is not the name of an image" in refused(tmp_path)
    write(tmp_path / "test" / "a.json", {"c": (names[3:5], [0, 1])})
    (raw / "3.png").write_bytes(b"\x89PNG no image")
    assert "3.png is a PNG image, not a whole image" in refused(tmp_path)


def test_whole_numbers_are_tokens(tmp_path: Path) -> None:
    x = RNG.integers(0, 300, (6, 5)).tolist()
    for split in ("train", "test"):
        write(tmp_path / split / "a.json", {"u": (x, [0, 1] * 3)})
    data = load_from(tmp_path)
    assert data.clients[0]["test_x"].tolist() == x
    assert "Samples of whole numbers are tokens." in data.remark


def test_labels_as_text_are_numbered_and_the_map_is_said(tmp_path: Path) -> None:
    x = rows(6)[0]
    for split in ("train", "test"):
        write(tmp_path / split / "a.json", {"u": (x, ["no", "yes", "10", "9", "yes", "no"])})
    data = load_from(tmp_path)
    assert data.clients[0]["test_y"].tolist() == [2, 3, 1, 0, 3, 2]
    assert "0 = '9', 1 = '10', 2 = 'no', 3 = 'yes'" in data.remark


def content(**changes: Any) -> str:
    made = {
        "users": ["a"],
        "num_samples": [3],
        "user_data": {"a": {"x": [[1.5]] * 3, "y": [0, 1, 2]}},
    }
    return json.dumps({**made, **changes})


def user(x: Any, y: Any) -> str:
    return content(user_data={"a": {"x": x, "y": y}})


WRONG = {
    "truncated": (content()[:40], "damaged or truncated"),
    "a pickle": ("\x80\x04", "damaged or truncated"),
    "LFS": ("version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
    "empty": ("", "damaged or truncated: it is empty"),
    "a list": ("[]", "not like LEAF's files"),
    "no users": ("{}", "not like LEAF's files.*users"),
    "users without data": (content(users=["a", "b"]), "the 2 users of .* are not the 1"),
    "a user twice": (content(users=["a", "a"]), "the 2 users of .* are not the 1"),
    "num_samples": (content(num_samples=[4]), "num_samples of user 'a' of .* is 4"),
    "num_samples of others": (content(num_samples=[3, 4]), "has 2 numbers for 1 users"),
    "ragged rows": (user([[1.5], [1, 2], [3]], [0, 1, 2]), "not all of one shape"),
    "lengths": (user([[1.5]], [0, 1, 2]), "1 samples and 3 labels"),
    "missing values": (user([[1.5], [None], [3]], [0, 1, 2]), "neither numbers nor a text"),
    "objects": (user([{"a": 1}] * 3, [0, 1, 2]), "something other than numbers"),
    "NaN": (user([[float("nan")]] * 3, [0, 1, 2]), "damaged|not valid JSON"),
    "infinite": (user([[1e300]] * 3, [0, 1, 2]), "infinite"),
    "fractions as labels": (user([[1.5]] * 3, [0.5, 1, 2]), "expected whole numbers"),
    "one-hot labels": (user([[1.5]] * 3, [[1, 0], [0, 1], [1, 0]]), "argmax"),
    "negative": (user([[1.5]] * 3, [-1, 0, 1]), "label -1"),
    "far too many classes": (user([[1.5]] * 3, [0, 1, 2**31]), "No label|label 2147483648"),
    "huge number": (user([[1.5]] * 3, [0, 1, 2**70]), "64 bits|expected whole|has the label"),
    "nested without end": ('{"users": ' + "[" * 100_000, "damaged|not like"),
    "names of images elsewhere": (
        user(["a.jpg"] * 3, [0, 1, 2]),
        "img_align_celeba does not exist",
    ),
    "bytes that are no text": ("\udc80", "damaged"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_named(kind: str, tmp_path: Path) -> None:
    text, message = WRONG[kind]
    write(tmp_path / "train" / "a.json", {"a": ([[0.5]] * 4, [0, 1, 2, 0])})
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "b.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    (tmp_path / "train" / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    said = refused(tmp_path)
    assert re.search(message, said), said


def test_users_without_a_test_sample_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train" / "a.json", {"a": rows(4), "b": rows(4)})
    write(tmp_path / "test" / "a.json", {"a": rows(4)})
    assert "1 user has no test samples" in refused(tmp_path)
    assert "-t sample" in refused(tmp_path)
    (tmp_path / "test" / "a.json").unlink()
    assert "holds no .json file" in refused(tmp_path)
    (tmp_path / "test").rmdir()
    assert "has no folder 'test'" in refused(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "other.json", {"a": rows(4)})
    write(tmp_path / "d" / "test" / "a.json", {"a": rows(4)})
    (tmp_path / "d" / "train").mkdir()
    (tmp_path / "d" / "train" / "a.json").symlink_to(tmp_path / "other.json")
    assert "link out of" in refused(tmp_path / "d")


def test_layouts_are_recognised(tmp_path: Path) -> None:
    write(tmp_path / "a" / "all_data" / "x.json", {"a": rows(4)})
    write(tmp_path / "b" / "data" / "train" / "x.json", {"a": rows(4)})
    write(tmp_path / "b" / "data" / "test" / "x.json", {"a": rows(4)})
    assert "all_data" in recognition.leaf(tmp_path / "a")
    assert "train/*.json" in recognition.leaf(tmp_path / "b")
    assert recognition.leaf(tmp_path) == ""
