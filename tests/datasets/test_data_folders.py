"""Folders of data: what is passed over, links, what is no file, and layouts that look alike."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_imagefolder_data_set import load_from, paint, paint_classes

from pflbench.errors import InputError
from pflbench.federation import ClientArrays, DataRequest, build
from pflbench.federation.partitioners.iid import IidPartitioner
from pflbench.schema.parameters import NoParameters
from pflbench_datasets.arrays import load

CLIENT = {
    f"{part}_{split}": np.arange(6) % 2 if part == "y" else np.eye(6, 3)
    for split in ("train", "val", "test")
    for part in "xy"
}


def write_clients(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.savez(folder / f"{name}.npz", **CLIENT)  # type: ignore[arg-type]  # numpy's stubs
    return folder


def clients_of(folder: Path) -> ClientArrays:
    data = load(DataRequest("npz", path=folder))
    assert isinstance(data, ClientArrays)
    return data


def test_hidden_files_and_those_of_systems_are_passed_over(tmp_path: Path) -> None:
    images = paint_classes(tmp_path / "images")
    before = load_from(images)
    clients = write_clients(tmp_path / "clients", "a", "b")
    for folder in (images, images / "cat", clients):
        for name in ("._0.png", "._a.npz", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"\0\5\x16\7 no image")
        for name in ("__MACOSX", ".hidden", "@eaDir"):
            paint(folder / name / "cat" / "._0.png", 1)
    after = load_from(images)
    assert np.array_equal(before.train_x, after.train_x)
    assert after.remark == ""
    assert clients_of(clients).names == ("a", "b")


def test_other_files_in_a_class_are_passed_over_aloud(tmp_path: Path) -> None:
    paint_classes(tmp_path)
    (tmp_path / "cat" / "film.gif").write_bytes(b"GIF89a")
    paint(tmp_path / "cover.png", 1)
    assert load_from(tmp_path).remark == (
        "2 files are skipped, by name not in a class folder or not images, such as film.gif."
    )


def test_a_link_to_a_folder_multiplies_no_samples(tmp_path: Path) -> None:
    root = paint_classes(tmp_path / "img")
    for target in ("../../img", "/", "../dog", "."):
        link = root / "cat" / "all"
        link.symlink_to(target)
        with pytest.raises(InputError, match="cat/all is a link to a folder: expected a folder it"):
            load_from(root)
        link.unlink()
    (root / "emu").symlink_to("cat")
    with pytest.raises(InputError, match="emu is a link to a folder"):
        load_from(root)


def test_a_split_that_is_a_link_to_another_is_refused(tmp_path: Path) -> None:
    paint_classes(tmp_path / "train")
    (tmp_path / "test").symlink_to("train")
    with pytest.raises(InputError, match="test is a link to a folder"):
        load_from(tmp_path)


def test_the_named_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    images, clients = paint_classes(tmp_path / "img"), write_clients(tmp_path / "npz", "a")
    (tmp_path / "i").symlink_to(images)
    (tmp_path / "c").symlink_to(clients)
    assert len(load_from(tmp_path / "i").train_x) == 8
    assert clients_of(tmp_path / "c").names == ("a",)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("../../outside.png", "is a link out of"),
        ("0.png", "is a link to .*0.png: expected each file once"),
        ("../dog/0.png", "is a link to .*dog/0.png: expected each file once"),
        ("gone.png", "is a link to nothing"),
        ("linked.png", "is a link to nothing"),
    ],
)
def test_a_link_to_a_file_brings_no_sample_in_twice(
    target: str, message: str, tmp_path: Path
) -> None:
    root = paint_classes(tmp_path / "img")
    paint(tmp_path / "outside.png", 3)
    (root / "cat" / "linked.png").symlink_to(target)
    with pytest.raises(InputError, match=message):
        load_from(root)


def test_a_link_to_a_file_that_is_read_by_it_alone_is_followed(tmp_path: Path) -> None:
    root = paint_classes(tmp_path / "img")
    paint(root / ".store" / "a.png", 77)
    (root / "cat" / "linked.png").symlink_to("../.store/a.png")
    pool = load_from(root)
    assert 77 in np.concatenate([pool.train_x, pool.test_x])
    (root / "dog" / "too.png").symlink_to("../.store/a.png")
    with pytest.raises(InputError, match=r"too.png and .*linked.png are links to one file"):
        load_from(root)


def test_a_folder_of_clients_follows_links_likewise(tmp_path: Path) -> None:
    folder = write_clients(tmp_path / "clients", "a", "b")
    write_clients(tmp_path, "outside")
    for target, message in (
        ("a.npz", "is a link to .*a.npz: expected each file once"),
        ("../outside.npz", "is a link out of"),
        ("gone", "is a link to nothing"),
    ):
        link = folder / "c.npz"
        link.symlink_to(target)
        with pytest.raises(InputError, match=f"c.npz {message}"):
            load(DataRequest("npz", path=folder))
        link.unlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    images = paint_classes(tmp_path / "img")
    os.mkfifo(images / "cat" / "pipe.png")
    os.mkfifo(images / "cat" / "pipe.txt")
    clients = write_clients(tmp_path / "clients", "a")
    os.mkfifo(clients / "pipe.npz")
    for load_it, path in (
        (load_from, images),
        (clients_of, clients),
        (clients_of, clients / "pipe.npz"),
    ):
        with pytest.raises(InputError, match="is a named pipe, expected a file"):
            load_it(path)
    with pytest.raises(InputError, match="is a device"):
        load(DataRequest("npz", path=Path("/dev/null")))


def test_a_client_may_be_written_in_capitals(tmp_path: Path) -> None:
    folder = write_clients(tmp_path, "a")
    (folder / "a.npz").rename(folder / "B.NPZ")
    assert clients_of(folder).names == ("B",)


def test_names_of_clients_files_may_be_no_utf8(tmp_path: Path) -> None:
    folder = write_clients(tmp_path, "a")
    try:
        (folder / "a.npz").rename(os.fsdecode(os.fsencode(folder) + b"/m\xfcnchen.npz"))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert clients_of(folder).names == ("m\\xfcnchen",)


def test_clients_of_a_folder_are_in_natural_order(tmp_path: Path) -> None:
    folder = write_clients(tmp_path, "c10", "c2", "c02", "c١", "b", "c" + "9" * 200)
    assert clients_of(folder).names == ("b", "c02", "c2", "c10", "c" + "9" * 200, "c١")


@pytest.mark.parametrize("split", ["", "train/"])
def test_folders_of_clients_are_not_taken_for_classes(split: str, tmp_path: Path) -> None:
    for client, kind in (("c0", "ant"), ("c0", "bee"), ("c1", "bee")):
        paint(tmp_path / split / client / kind / "0.png", 1)
    message = rf"{split}c0 holds folders of images \(ant, bee\).*'c0' is a client .* npz:FOLDER"
    with pytest.raises(InputError, match=message):
        load_from(tmp_path)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "test"), "are 'test', 'train', which are splits and no classes"),
        (("training", "testing"), "'testing', 'training', .* expected the names 'test', 'train'"),
        (("Train", "Test", "Val"), "which are splits and no classes"),
        (("train/cat", "train/dog", "valid/cat"), "'valid' next to 'train' .rename it to 'val'"),
        (("train/cat", "train/dog", "extra/cat"), "'extra' next to 'train': expected either"),
        (("training/cat", "training/dog", "testing/cat"), "which are splits and no classes"),
    ],
)
def test_splits_are_not_taken_for_classes(
    folders: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    for folder in folders:
        for i in range(5):
            paint(tmp_path / folder / f"{i}.png", i)
    with pytest.raises(InputError, match=message):
        load_from(tmp_path)


def test_colours_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    """Pillow makes eight bits of them without a word; it writes none, so the header is changed."""
    paint_classes(tmp_path)
    deep = tmp_path / "cat" / "0.png"
    content = bytearray(paint(deep, 1).read_bytes())
    content[24] = 16
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    deep.write_bytes(content)
    with pytest.raises(InputError, match="mode RGB;16: expected 8-bit"):
        load_from(tmp_path)


def test_what_becomes_of_grey_and_transparent_images_is_said(tmp_path: Path) -> None:
    paint_classes(tmp_path)
    paint(tmp_path / "cat" / "0.png", 1, mode="L")
    assert load_from(tmp_path).remark == "1 image is grey and becomes RGB like the others."
    for i in (1, 2):
        paint(tmp_path / "cat" / f"{i}.png", 1, mode="RGBA")
    paint(tmp_path / "cat" / "0.png", 1)
    assert load_from(tmp_path).remark.startswith("2 images have transparent parts")


def test_a_pointer_in_an_images_place_is_named(tmp_path: Path) -> None:
    paint_classes(tmp_path)
    (tmp_path / "cat" / "0.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match=r"0.png is a Git LFS pointer.*git lfs pull"):
        load_from(tmp_path)


def test_too_many_clients_are_counted_in_a_sentence(tmp_path: Path) -> None:
    pool = load_from(paint_classes(tmp_path, 30))
    iid: Any = IidPartitioner(NoParameters())
    with pytest.raises(InputError, match=r"needs a validation sample, and the number of them is 9"):
        build(pool, iid, 10, 0)
