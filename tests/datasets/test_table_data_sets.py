"""Tables: what the columns become, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from pflbench.errors import InputError
from pflbench.federation import ClientArrays, DataRequest, Pool, build
from pflbench_datasets import recognition
from pflbench_datasets.table_loading import load_csv, load_parquet

N = 60
FRAME = pd.DataFrame(
    {
        "age": np.arange(N),
        "sex": ["m", "f", "x"] * 20,
        "pressure": np.linspace(0, 1, N),
        "smokes": [True, False] * 30,
        "hospital": ["h10", "h2", "h1"] * 20,
        "ill": ["yes", "no"] * 30,
    }
)
HOW = "?client=hospital&label=ill"


def written(folder: Path, frame: pd.DataFrame, kind: str = "csv") -> Path:
    path = folder / f"t.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    return path


def load_from(path: Path | str, how: str = "") -> Pool | ClientArrays:
    kind = "parquet" if ".parquet" in f"{path}" else "csv"
    load = load_parquet if kind == "parquet" else load_csv
    return load(DataRequest(kind, path=Path(f"{path}{how}")))


def refused(path: Path | str, how: str = "") -> str:
    with pytest.raises(InputError) as caught:
        load_from(path, how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_become_inputs_labels_and_clients(kind: str, tmp_path: Path) -> None:
    pool = load_from(written(tmp_path, FRAME, kind), HOW)
    assert isinstance(pool, Pool)
    assert pool.client_names == ("h1", "h2", "h10")
    assert pool.train_owner is not None
    assert pool.classes == 2
    ages = pool.train_x[:, 0].astype(int)
    assert pool.train_x.shape == (48, 6)
    rows = FRAME.iloc[ages]
    one_hot = np.stack([rows["sex"] == name for name in "fmx"], axis=1)
    np.testing.assert_array_equal(pool.train_x[:, 1:4], one_hot)
    np.testing.assert_allclose(pool.train_x[:, 4], rows["pressure"], rtol=1e-6)
    np.testing.assert_array_equal(pool.train_x[:, 5], rows["smokes"])
    np.testing.assert_array_equal(pool.train_y, rows["ill"] == "yes")
    names = np.array(pool.client_names)
    np.testing.assert_array_equal(names[pool.train_owner], rows["hospital"])
    assert "Column 'sex' is one-hot: 0 = 'f', 1 = 'm', 2 = 'x'." in pool.remark
    assert "The labels of 'ill' are numbered: 0 = 'no', 1 = 'yes'." in pool.remark
    assert np.bincount(pool.test_y).tolist() == [6, 6]


def test_a_split_that_the_table_brings_is_kept(tmp_path: Path) -> None:
    split = np.where(np.arange(N) % 5 == 0, "test", "train")
    path = written(tmp_path, FRAME.assign(part=split))
    data = load_from(path, f"{HOW}&split=part")
    assert isinstance(data, ClientArrays)
    ages = sorted(int(a) for own in data.clients for a in own["test_x"][:, 0])
    assert ages == list(range(0, N, 5))
    assert "No client has a validation split" in data.remark
    split[1::5] = "val"
    path = written(tmp_path, FRAME.assign(part=split))
    federation = build(load_from(path, f"{HOW}&split=part"), None, None, 0)
    assert sorted(federation.val.x[:, 0].int().tolist()) == list(range(1, N, 5))
    pool = load_from(path, "?label=ill&split=part&skip=hospital")
    assert isinstance(pool, Pool)
    assert pool.val_x is not None
    assert pool.val_x[:, 0].tolist() == list(range(1, N, 5))


def test_a_folder_has_a_file_a_client(tmp_path: Path) -> None:
    for i in (10, 2):
        rows = FRAME[["age", "ill"]].rename(columns={"ill": "Class"})[:20]
        (tmp_path / f"party{i}.csv").write_text(rows.to_csv(index=False))
    pool = load_from(tmp_path)
    assert isinstance(pool, Pool)
    assert pool.client_names == ("party2", "party10")
    (tmp_path / "party3.csv").write_text("age,Klass\n1,2\n")
    assert "expected the same in all files" in refused(tmp_path)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_and_a_byte_order_mark(separator: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbf" + FRAME.to_csv(index=False, sep=separator).encode())
    assert isinstance(load_from(path, HOW), Pool)


def test_types_are_told_from_the_whole_file(tmp_path: Path) -> None:
    n = 200_000
    values = [*["1"] * (n - 1), "1.5"]
    path = written(tmp_path, pd.DataFrame({"v": values, "y": np.arange(n) % 2}))
    pool = load_from(path)
    assert isinstance(pool, Pool)
    assert max(pool.train_x.max(), pool.test_x.max()) == 1.5


def test_numbers_that_are_categories_and_labels_from_one(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ward": [3, 7, 10] * 20, "y": np.arange(N) % 3 + 1})
    pool = load_from(written(tmp_path, frame), "?category=ward")
    assert isinstance(pool, Pool)
    assert pool.train_x.sum(axis=1).tolist() == [1] * 48
    assert "0 = '3', 1 = '7', 2 = '10'" in pool.remark
    assert "0 = '1', 1 = '2', 2 = '3'" in pool.remark


def test_names_in_percent_encoding(tmp_path: Path) -> None:
    frame = FRAME.rename(columns={"hospital": "a,b & c", "ill": "50%?"})
    pool = load_from(written(tmp_path, frame), "?client=a%2Cb %26 c&label=50%25%3F")
    assert isinstance(pool, Pool)
    assert pool.client_names == ("h1", "h2", "h10")


def test_lists_of_numbers_are_inputs(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": list(np.eye(6, dtype=np.float32)) * 10, "y": np.arange(N) % 2})
    pool = load_from(written(tmp_path, frame, "parquet"))
    assert isinstance(pool, Pool)
    assert pool.train_x.shape == (48, 6)


def holes(**columns: Any) -> pd.DataFrame:
    return FRAME.assign(**columns)


COUNT = np.arange(N)
WRONG = {
    "missing": (holes(pressure=[None, 1.0] * 30), HOW, "30 in 'pressure' \\(first in row 1\\)"),
    "missing texts": (holes(sex=["m", "f", None] * 20), HOW, "20 in 'sex' \\(first in row 3"),
    "missing clients": (holes(hospital=["a", "", "b"] * 20), HOW, "in 'hospital'"),
    "missing labels": (holes(ill=["a", "b", None] * 20), HOW, "20 in 'ill'"),
    "no column": (FRAME, "?label=il", "no column 'il'. Did you mean 'ill'"),
    "no column at all like it": (FRAME, "?label=qqqqq", "no column 'qqqqq'. Known: "),
    "no option": (FRAME, "?lable=ill", "'lable' is not an option.* Did you mean 'label'"),
    "twice": (FRAME, "?label=ill&label=age", "given twice"),
    "no value": (FRAME, "?label=", "has no value"),
    "which label": (FRAME, "", "column of labels is not known"),
    "two roles": (FRAME, "?label=ill&client=ill", "two roles"),
    "fractions as labels": (FRAME, "?label=pressure", "'pressure' holds fractions"),
    "one class": (holes(ill="no"), HOW, "all labels in 'ill' are 'no'"),
    "too many categories": (
        pd.DataFrame({"t": [f"t{i}" for i in range(600)], "y": np.arange(600) % 2}),
        "",
        "'t' holds 600 different values, more than 256",
    ),
    "a date": (holes(day="2020-01-01"), HOW, "'day' is of type date32"),
    "infinite": (holes(pressure=1e300), HOW, "'pressure' is infinite"),
    "splits of other names": (holes(part="training"), f"{HOW}&split=part", "expected train, val"),
    "no test": (holes(part="train"), f"{HOW}&split=part", "holds no 'test'"),
    "poor client": (holes(hospital=["a"] * 58 + ["b"] * 2), HOW, "client b of .* has 2 samples"),
    "no test of a client": (
        holes(part=np.where(FRAME["hospital"] == "h2", "train", ["test", "train"] * 30)),
        f"{HOW}&split=part",
        "client 'h2' has no test row",
    ),
    "no inputs": (FRAME[["ill"]], "?label=ill", "no column is left"),
    "empty": (FRAME[:0], HOW, "has no rows"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_named(kind: str, tmp_path: Path) -> None:
    frame, how, message = WRONG[kind]
    said = refused(written(tmp_path, frame), how)
    assert re.search(message, said), said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,y\n1,2\n1,2,3\n", "Expected 2 columns, got 3"),
        (b"", "it is empty"),
        (b"a,a,y\n1,2,0\n", "several columns 'a'"),
        (b"\x80\x04\x95\0\0", "a Python pickle"),
        (b"PK\x03\x04\0\0\0", "a zip archive"),
        (b"a,y\n\xff\xfe,1\n", "cannot be read: it is of an unknown kind"),
        (b"version https://git-lfs.github.com/spec/v1\noid x\n", "Git LFS pointer"),
    ],
)
def test_damaged_csv_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    said = refused(tmp_path / "t.csv")
    assert re.search(message, said), said


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, FRAME, "parquet")
    whole = path.read_bytes()
    for content in (whole[:-50], b"PAR1" + whole[4:200] + b"PAR1", b"a,y\n1,2\n", b""):
        path.write_bytes(content)
        assert "t.parquet cannot be read" in refused(path, HOW)


def test_a_parquet_file_larger_than_the_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, FRAME, "parquet")
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Free", (), {"available": 9}))
    assert "and 9 are free" in refused(path, HOW)


def test_nested_columns_are_refused(tmp_path: Path) -> None:
    for values in ([{"a": 1}] * 6, [[1.0], [1.0, 2.0]] * 3, [[[1]]] * 6, [[1, None]] * 6):
        table = pa.table({"x": pa.array(values), "y": [0, 1] * 3})
        pyarrow.parquet.write_table(table, tmp_path / "n.parquet")
        assert "'x'" in refused(tmp_path / "n.parquet")


def test_tables_are_recognised(tmp_path: Path) -> None:
    written(tmp_path, FRAME)
    assert recognition.csv(tmp_path / "t.csv") == "a CSV table"
    assert recognition.csv(tmp_path) == "a folder with a CSV table a client"
    assert recognition.parquet(tmp_path) == ""
