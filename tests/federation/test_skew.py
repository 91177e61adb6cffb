"""The realised heterogeneity, as a table and as pictures."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import image
from rich.console import Console

from pflbench.errors import InputError, WorkError
from pflbench.federation import SPLITS, Federation
from pflbench.federation.skew import class_counts, count_matrix, skew_summary
from pflbench.report.pictures.partition_picture import shades
from pflbench.report.pictures.saving import save_figure
from pflbench.report.terminal.partition_table import PartitionPicture


def save_picture(table: pd.DataFrame, path: Path) -> None:
    save_figure(lambda: shades(table), path)


def federation_of(labels: list[dict[str, list[int]]], classes: int) -> Federation:
    return Federation.from_arrays(
        [
            {f"{s}_x": np.zeros((len(y), 1)) for s, y in own.items()}
            | {f"{s}_y": np.array(y) for s, y in own.items()}
            for own in labels
        ],
        classes=classes,
    )


@pytest.fixture(scope="module")
def three() -> pd.DataFrame:
    return class_counts(
        federation_of(
            [
                {"train": [0] * 4 + [1] * 4, "val": [0, 1], "test": [0, 0, 1, 1]},
                {"train": [2, 2], "val": [2], "test": [1]},
                {"train": [0, 1, 2, 0, 1, 2], "val": [0], "test": [2, 1, 0]},
            ],
            classes=4,
        )
    )


def table_of(counts: np.ndarray) -> pd.DataFrame:
    clients, classes = counts.shape
    grid = np.indices((clients, 3, classes)).reshape(3, -1)
    return pd.DataFrame(
        {
            "client": grid[0],
            "split": np.array(SPLITS, dtype=object)[grid[1]],
            "class": grid[2],
            "samples": np.repeat(counts[:, None], 3, axis=1).reshape(-1),
        }
    )


def drawn(table: pd.DataFrame, width: int = 80, encoding: str = "utf-8", **options) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width).print(PartitionPicture(table, **options))
    file.seek(0)
    return file.read()


def test_the_table_counts_every_client_split_and_class(three):
    assert list(three.columns) == ["client", "split", "class", "samples"]
    assert len(three) == 3 * 3 * 4
    assert count_matrix(three, "train").tolist() == [[4, 4, 0, 0], [0, 0, 2, 0], [2, 2, 2, 0]]
    assert count_matrix(three, "test").tolist() == [[2, 2, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0]]
    assert three["split"].unique().tolist() == list(SPLITS)


def test_the_summary_is_what_a_pencil_gives(three):
    train, val, test = skew_summary(three).to_dict("records")
    assert (train["clients"], train["samples"]) == (3, 16)
    assert (train["smallest"], train["median"], train["largest"]) == (2, 6, 8)
    assert train["classes_held"] == 2
    assert train["effective_classes"] == pytest.approx((2 + 1 + 3) / 3)
    # pooled 6/16, 6/16, 4/16: distances 1/4, 3/4 and 1/12
    assert train["label_skew"] == pytest.approx((1 / 4 + 3 / 4 + 1 / 12) / 3)
    assert train["from_train"] == 0
    assert val["from_train"] == pytest.approx((0 + 0 + 2 / 3) / 3)
    assert test["from_train"] == pytest.approx((0 + 1 + 0) / 3)


def test_a_table_read_back_from_a_file_gives_the_same(three, tmp_path):
    three.to_parquet(tmp_path / "partition.parquet")
    back = pd.read_parquet(tmp_path / "partition.parquet")
    pd.testing.assert_frame_equal(skew_summary(back), skew_summary(three))
    assert drawn(back) == drawn(three)


def test_the_picture_shows_each_clients_classes_and_size(three):
    lines = drawn(three).splitlines()
    assert lines[0] == "Training samples of 3 clients"
    assert lines[1].split() == ["class", "0", "1", "2", "3"]
    assert [line.split()[0] for line in lines[2:5]] == ["0", "1", "2"]
    assert [line.split()[-1] for line in lines[2:5]] == ["8", "2", "6"]
    for line, row in zip(lines[2:5], count_matrix(three, "train"), strict=True):
        for c, count in enumerate(row):
            at = lines[1].index(str(c))
            assert (line[at] != " ") == (count > 0)
    assert lines[3][lines[1].index("2")] == "█"
    assert "█ = 100%" in lines[-1]
    assert drawn(three, split="test").startswith("Test samples")


def test_of_many_clients_a_few_are_shown_from_the_largest_to_the_smallest():
    counts = np.random.default_rng(0).integers(1, 50, size=(1000, 10))
    lines = drawn(table_of(counts), rows=20).splitlines()
    assert lines[0] == "Training samples of 20 of 1,000 clients, largest to smallest"
    sizes = [int(line.split()[-1]) for line in lines[2:22]]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (counts.sum(axis=1).max(), counts.sum(axis=1).min())


@settings(max_examples=60, deadline=None)
@given(
    clients=st.integers(1, 30),
    classes=st.integers(1, 300),
    width=st.integers(30, 200),
    encoding=st.sampled_from(["utf-8", "ascii"]),
)
def test_the_picture_fits_any_terminal(clients, classes, width, encoding):
    counts = np.random.default_rng(clients).poisson(0.3, size=(clients, classes))
    counts[:, 0] += 1
    lines = drawn(table_of(counts), width, encoding, rows=10).splitlines()
    assert max(len(line) for line in lines) <= width
    head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("class"))
    sizes = [line.split()[-1] for line in lines[head + 1 :][: min(clients, 10)]]
    assert all(int(size.replace(",", "")) in counts.sum(axis=1) for size in sizes)


@pytest.mark.slow
@pytest.mark.parametrize("clients", [1, 30, 400])
def test_a_saved_picture_is_a_picture(clients, tmp_path):
    counts = np.random.default_rng(0).poisson(2, size=(clients, 10)) + 1
    save_picture(table_of(counts), tmp_path / "partition.png")
    pixels = image.imread(tmp_path / "partition.png")
    assert min(pixels.shape[:2]) >= 400
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 20
    assert [p.name for p in tmp_path.iterdir()] == ["partition.png"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<?xml"), ("a.PDF", b"%PDF")])
def test_one_partition_is_one_file(name, start, three, tmp_path):
    save_picture(three, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    save_picture(three, tmp_path / name)
    assert first.startswith(start)
    assert (tmp_path / name).read_bytes() == first


@pytest.mark.slow
def test_a_picture_that_cannot_be_saved_is_an_error(three, tmp_path):
    with pytest.raises(InputError, match=r"'a.jpg'.*\.pdf, \.png or \.svg"):
        save_picture(three, tmp_path / "a.jpg")
    with pytest.raises(InputError, match="does not exist"):
        save_picture(three, tmp_path / "absent" / "a.png")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(WorkError, match="cannot be written"):
        save_picture(three, tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    if sys.platform == "linux" and os.access("/dev/full", os.W_OK):
        (tmp_path / ".b.png.part").symlink_to("/dev/full")
        with pytest.raises(WorkError, match="No space left"):
            save_picture(three, tmp_path / "b.png")
