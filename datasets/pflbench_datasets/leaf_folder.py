"""`leaf:FOLDER`: users and their samples from the JSON files of LEAF.

Caldas et al., "LEAF: A Benchmark for Federated Settings", arXiv 1812.01097. Generators of other
code (FedProx, pFedMe, Ditto) write the same files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from pflbench.errors import InputError
from pflbench.federation import ClientArrays, DataRequest
from pflbench.federation.client_names import as_unicode, natural_order, shown
from pflbench.federation.clients import check_clients
from pflbench.federation.holdout import for_test
from pflbench.schema.content import described, regular
from pflbench_datasets.folders import DataFolder, is_folder
from pflbench_datasets.leaf_files import Samples, Split, read_split
from pflbench_datasets.leaf_text import (
    LENGTH,
    LETTERS,
    WORDS,
    characters,
    letters_of,
    vocabulary,
    words,
)

SPLITS: Final = ("train", "test")
VALIDATION: Final = "val"
"""The folder that `pflbench export-data` writes next to LEAF's."""

_WHOLE: Final = "all_data"
_ENDING: Final = (".json",)
_FEWEST: Final = 3
_IMAGES: Final = (".jpg", ".jpeg", ".png")
_SIDE: Final = 84  # of CelebA's images in LEAF
_PICTURES: Final = "img_align_celeba"
_PIXELS: Final = 28 * 28
_LARGEST: Final = 1_000_000
"""The largest label: more classes than this are no classes."""

Users = Mapping[str, Mapping[str, Samples]]
"""Each user's samples by name: train_x, train_y, test_x, test_y."""


def load(request: DataRequest) -> ClientArrays:
    """Load a folder of LEAF.

    FOLDER/train/*.json and FOLDER/test/*.json, or the same in FOLDER/data, keep their split. Of
    FOLDER/all_data/*.json (or *.json in FOLDER itself) a fifth of each user's samples, stratified
    by class, becomes the test split. A quarter of the training samples becomes the validation
    split. Samples of 784 numbers are images of 1×28×28; texts of one length are characters, others
    words; names of image files are CelebA's, read from raw/img_align_celeba.

    Raises
    ------
    InputError
        What is missing, damaged or does not fit, by name of file and user.
    """
    if request.path is None:
        raise InputError("leaf needs a folder: leaf:FOLDER.")
    root = request.path.expanduser()
    if not is_folder(root, "leaf"):
        raise InputError(f"leaf: {root} is not a folder: expected one with train/ and test/.")
    users, said = _users(root)
    names = sorted(users, key=natural_order)
    inputs, about_inputs = _inputs([users[name] for name in names], root)
    labels, classes, about_labels = _labels([users[name] for name in names])
    if said is not None:
        if classes is None or classes > said:
            raise InputError(f"leaf: the labels in {root} are not below num_classes, {said}.")
        classes, about_labels = said, ""
    clients = [
        {**{f"{s}_x": x[s] for s in x}, **{f"{s}_y": y[s] for s in y}}
        for x, y in zip(inputs, labels, strict=True)
    ]
    checked = check_clients(
        clients,
        classes,
        lambda i, key: f"{key[-1]} of the {key[:-2]} samples of user {shown(names[i])!r} of {root}",
        whole=str(root),
    )
    return ClientArrays(
        clients=checked.clients,
        classes=checked.classes,
        source=f"{len(clients):,} user{'s' if len(clients) > 1 else ''} from {root}",
        names=tuple(as_unicode(name) for name in names),
        remark=" ".join(filter(None, (about_inputs, about_labels, checked.remark))),
    )


def _users(root: Path) -> tuple[Users, int | None]:
    """Return the samples of all users, and the number of classes if the files give it."""
    folder = DataFolder(root, "leaf")
    home, there = root, _folders(folder, root)
    if not set(there) & {*SPLITS, _WHOLE} and "data" in there:
        home, there = there["data"], _folders(folder, there["data"])
    if all(split in there for split in SPLITS):
        splits: list[str] = [*SPLITS, *([VALIDATION] if VALIDATION in there else [])]
        read = {split: _read(folder, there[split]) for split in splits}
        return _together(read, root), max(
            (split.classes for split in read.values() if split.classes is not None), default=None
        )
    if any(split in there for split in SPLITS):
        (lacking,) = set(SPLITS) - set(there)
        raise InputError(f"leaf: {home} has no folder {lacking!r} next to the other split.")
    whole = _read(folder, there.get(_WHOLE, home))
    return {user: _held_out(user, whole) for user in whole.x}, whole.classes


def _folders(folder: DataFolder, path: Path) -> dict[str, Path]:
    return {found.name: found for found in folder.folders(path)}


def _read(folder: DataFolder, path: Path) -> Split:
    files, _ = folder.files(path, _ENDING)
    folder.once(files)
    if not files:
        raise InputError(
            f"leaf: {path} holds no .json file: expected train/*.json and test/*.json, or "
            "all_data/*.json, as LEAF writes them."
        )
    return read_split(sorted(files, key=lambda file: natural_order(file.name)))


def _together(read: Mapping[str, Split], root: Path) -> Users:
    every = {user for split in read.values() for user in split.x}
    for split, own in read.items():
        users = every - set(own.x)
        if users:
            one = min(users, key=natural_order)
            raise InputError(
                f"leaf: {len(users):,} user{'s have' if len(users) > 1 else ' has'} no {split} "
                f"samples in {root}, such as {shown(one)!r}: expected each in train and test "
                "(LEAF's preprocess.sh with -t sample, not -t user)."
            )
    return {
        user: {
            **{f"{split}_x": own.x[user] for split, own in read.items()},
            **{f"{split}_y": own.y[user] for split, own in read.items()},
        }
        for user in read["train"].x
    }


def _held_out(user: str, whole: Split) -> Mapping[str, Samples]:
    """Return a user's samples with a fifth of them for test."""
    x, y = whole.x[user], whole.y[user]
    if len(y) < _FEWEST:
        raise InputError(
            f"leaf: user {shown(user)!r} has {len(y)} sample{'' if len(y) == 1 else 's'}: each "
            f"needs at least {_FEWEST}, for training, validation and test."
        )
    test = for_test(np.unique(np.asarray(y), axis=0, return_inverse=True)[1].reshape(-1))
    return {
        f"{split}_{part}": _at(values, np.flatnonzero(chosen))
        for split, chosen in (("train", ~test), ("test", test))
        for part, values in (("x", x), ("y", y))
    }


def _at(values: Samples, index: np.ndarray) -> Samples:
    return values[index] if isinstance(values, np.ndarray) else [values[i] for i in index]


Arrays = Sequence[Mapping[str, np.ndarray]]
"""Each user's arrays by split."""


def _splits(users: Sequence[Mapping[str, Samples]]) -> list[str]:
    return [name.removesuffix("_x") for name in users[0] if name.endswith("_x")]


def _inputs(users: Sequence[Mapping[str, Samples]], root: Path) -> tuple[Arrays, str]:
    """Return the users' inputs, and what was made of them."""
    splits = _splits(users)
    parts = [own[f"{split}_x"] for own in users for split in splits]
    if all(isinstance(part, np.ndarray) for part in parts):
        return _numbers([{s: np.asarray(own[f"{s}_x"]) for s in splits} for own in users])
    if any(isinstance(part, np.ndarray) for part in parts):
        raise InputError(f"leaf: some samples in {root} are numbers and others are texts.")
    texts = [{s: _texts(own[f"{s}_x"], root) for s in splits} for own in users]
    every = [text for own in texts for split in splits for text in own[split]]
    if all(text.lower().endswith(_IMAGES) for text in every):
        return [{s: _pictures(own[s], root) for s in splits} for own in texts], ""
    length = len(every[0])
    if length and all(len(text) == length for text in every):
        letters = letters_of(every)
        said = "by LEAF's table" if letters == LETTERS else "by the sorted ones of the data"
        made = [{s: characters(own[s], letters) for s in splits} for own in texts]
        return made, f"Texts of {length} characters are tokens: {len(letters)}, {said}."
    known = vocabulary(text for own in texts for text in own["train"])
    made = [{s: words(own[s], known) for s in splits} for own in texts]
    return made, (
        f"Texts are tokens: their first {LENGTH} words, 0 for padding, 1 for words that are not "
        f"among the {min(WORDS, len(known)):,} most frequent ones of the training texts."
    )


def _numbers(arrays: Arrays) -> tuple[Arrays, str]:
    """Return numbers as images, tokens, or as they are."""
    parts = [part for own in arrays for part in own.values()]
    if all(part.ndim == 2 and part.shape[1] == _PIXELS for part in parts):
        images = [
            {s: part.reshape(-1, 1, 28, 28).astype(np.float32) for s, part in own.items()}
            for own in arrays
        ]
        return images, "Samples of 784 numbers are images of 1×28×28."
    if all(part.dtype.kind == "i" for part in parts):
        return arrays, "Samples of whole numbers are tokens."
    return [{s: part.astype(np.float32) for s, part in own.items()} for own in arrays], ""


def _texts(samples: Samples, root: Path) -> list[str]:
    """Return texts; of a row of cells (Sent140) the fifth, which is the text."""
    texts = []
    for sample in samples:
        text = sample[4] if isinstance(sample, list) and len(sample) > 4 else sample
        if not isinstance(text, str):
            raise InputError(
                f"leaf: a sample in {root} is neither numbers nor a text: expected x of FEMNIST, "
                "CelebA, Shakespeare, Sent140 or Synthetic."
            )
        texts.append(text)
    return texts


def _pictures(names: Sequence[str], root: Path) -> np.ndarray:
    """Return CelebA's images [n, 3, 84, 84] by their names."""
    places = [root / "raw" / _PICTURES, root / "data" / "raw" / _PICTURES]
    place = next((path for path in places if path.is_dir()), None)
    if place is None:
        raise InputError(
            f"leaf: the samples in {root} are names of images, and {places[0]} does not exist: "
            "expected the images there, as LEAF does."
        )
    for name in names:
        if PurePosixPath(name).name != name or "\\" in name or name.startswith("."):
            raise InputError(f"leaf: {name!r} is not the name of an image in {place}.")
    return np.stack([_picture(place, name) for name in names])


def _picture(place: Path, name: str) -> np.ndarray:
    path = place / name
    regular(path, "leaf")
    if path.is_symlink():
        raise InputError(f"leaf: {path} is a link, expected the image itself.")
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.resize((_SIDE, _SIDE)).convert("RGB"))
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"leaf: {path} is {described(path)}, not a whole image.") from error
    return pixels.transpose(2, 0, 1)


def _labels(users: Sequence[Mapping[str, Samples]]) -> tuple[Arrays, int | None, str]:
    """Return the users' labels, the number of classes, and what was made of them."""
    splits = _splits(users)
    parts = [own[f"{split}_y"] for own in users for split in splits]
    if all(isinstance(part, np.ndarray) for part in parts):
        arrays = [{s: _whole(np.asarray(own[f"{s}_y"])) for s in splits} for own in users]
        flat = [part for a in arrays for part in a.values()]
        if any(part.ndim != 1 or part.dtype.kind != "i" or not part.size for part in flat):
            return arrays, None, ""  # the check says what is wrong
        present = np.unique(np.concatenate([np.unique(part) for part in flat]))
        classes = int(present[-1]) + 1
        if present[0] < 0 or classes > _LARGEST or classes < 2:
            return arrays, None, ""
        absent = np.setdiff1d(np.arange(classes), present)
        return arrays, classes, _absent(absent)
    texts = [{s: [str(v) for v in own[f"{s}_y"]] for s in splits} for own in users]
    every = {label for own in texts for labels in own.values() for label in labels}
    letters = all(len(label) == 1 for label in every) and every <= set(LETTERS)
    names = list(LETTERS) if letters else sorted(every, key=natural_order)
    number = {name: i for i, name in enumerate(names)}
    arrays = [{s: np.array([number[v] for v in own[s]], np.int64) for s in splits} for own in texts]
    if letters:
        return arrays, len(names), "Labels are characters, numbered by LEAF's table."
    some = ", ".join(f"{i} = {shown(name)!r}" for i, name in enumerate(names[:10]))
    more = f", ... ({len(names):,} in natural order)" if len(names) > 10 else ""
    return arrays, len(names), f"Labels are numbered: {some}{more}."


def _whole(y: np.ndarray) -> np.ndarray:
    """Return whole numbers in floating point as integers; other arrays unchanged."""
    if y.dtype.kind == "f" and bool((y == np.floor(y)).all()):
        return y.astype(np.int64)
    return y


def _absent(classes: np.ndarray) -> str:
    if not len(classes):
        return ""
    some = ", ".join(map(str, classes[:10].tolist())) + (", ..." if len(classes) > 10 else "")
    return f"No sample has the label{'s' if len(classes) > 1 else ''} {some}."
