"""Federations in the layouts of other suites: each comes back with equal samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pflbench import Federation
from pflbench.errors import InputError, UnknownNameError, WorkError
from pflbench.federation import SPLITS, DataRequest, build
from pflbench.federation.exports import LAYOUTS, write_federation
from pflbench.schema.plugins import installed
from pflbench.schema.specs import resolve

RNG = np.random.default_rng(0)


def federation(
    shape: tuple[int, ...] = (2, 3),
    classes: int = 3,
    names: list[str] | None = None,
    kind: str = "float",
    held: int | None = None,
) -> Federation:
    """Return three clients' noise; only the first `held` classes have samples."""
    clients = []
    for i in range(3):
        own: dict[str, Any] = {}
        for split, n in (("train", 7 + i), ("val", 3), ("test", 4)):
            x = RNG.normal(size=(n, *shape)).astype(np.float32)
            if kind != "float":
                x = RNG.integers(0, 300, (n, *shape))
            own[f"{split}_x"] = x.astype(np.float32) if kind == "whole" else x
            own[f"{split}_y"] = (np.arange(n) + i) % (held or classes)
        clients.append(own)
    return Federation.from_arrays(clients, classes, names=names)


def back(layout: str, path: Path) -> Federation:
    spec = installed().datasets.entries[layout][0][1]
    data = resolve(spec.load, owner=layout)(DataRequest(layout, path=path))
    return build(data, None, None, 0)


def assert_equal(a: Federation, b: Federation) -> None:
    assert (a.clients, a.classes) == (b.clients, b.classes)
    for split in SPLITS:
        one, other = a.split(split), b.split(split)
        assert one.x.dtype == other.x.dtype
        assert one.x.shape == other.x.shape
        assert one.x.equal(other.x)
        assert one.y.equal(other.y)
        assert one.offsets.tolist() == other.offsets.tolist()
    assert b.names == (a.names or tuple(map(str, range(a.clients))))


KINDS = {
    "numbers": federation(),
    "one axis": federation((5,)),
    "grey images": federation((1, 28, 28)),
    "colour images": federation((3, 4, 5)),
    "tokens": federation((6,), kind="tokens"),
    "tokens in parts": federation((2, 3), kind="tokens"),
    "whole numbers in floating point": federation((4,), kind="whole"),
    "names": federation(names=["h-1", "h-2", "h-10"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_layout_comes_back_equal(kind: str, layout: str, tmp_path: Path) -> None:
    target = tmp_path / "data"
    assert write_federation(KINDS[kind], target, layout) == ""
    assert_equal(KINDS[kind], back(layout, target))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "npz"])
def test_classes_without_samples_come_back(layout: str, tmp_path: Path) -> None:
    made = federation(classes=7, held=4)
    write_federation(made, tmp_path / "data", layout)
    assert_equal(made, back(layout, tmp_path / "data"))


def test_pfllib_reads_its_own_layout(tmp_path: Path) -> None:
    """The lines of PFLlib's utils/data_utils.py, read_data and process_image."""
    made = KINDS["grey images"]
    write_federation(made, tmp_path / "data", "pfllib")
    for split in ("train", "test"):
        with (tmp_path / "data" / split / "1.npz").open("rb") as file:
            data = np.load(file, allow_pickle=True)["data"].tolist()  # its own words
        x, y = made.split(split).client(1)  # type: ignore[arg-type]
        np.testing.assert_array_equal(data["x"], x)
        np.testing.assert_array_equal(data["y"], y)
    config = json.loads((tmp_path / "data" / "config.json").read_text())
    assert (config["num_clients"], config["num_classes"]) == (3, 3)
    assert [sum(n for _, n in one) for one in config["Size of samples for labels in clients"]] == [
        14,
        15,
        16,
    ]


def test_leaf_reads_its_own_layout(tmp_path: Path) -> None:
    """The lines of LEAF's models/utils/model_utils.py, read_dir."""
    made = KINDS["names"]
    write_federation(made, tmp_path / "data", "leaf")
    clients, data = [], {}
    for file in (tmp_path / "data" / "train").glob("*.json"):
        content = json.loads(file.read_text())
        clients.extend(content["users"])
        data.update(content["user_data"])
    assert clients == ["h-1", "h-2", "h-10"]
    np.testing.assert_array_equal(np.float32(data["h-2"]["x"]), made.train.client(1)[0])


@pytest.mark.parametrize(
    ("names", "layout", "why"),
    [
        (["b", "a", "c"], "leaf", "natural order"),
        (["a/b", "b", "c"], "npz", "files"),
        (["..", "b", "c"], "npz", "files"),
        (["con", "d", "e"], "npz", "files"),
        (["a", "a", "b"], "parquet", "different names"),
    ],
)
def test_names_that_a_layout_cannot_hold_become_numbers(
    names: list[str], layout: str, why: str, tmp_path: Path
) -> None:
    made = federation(names=names)
    assert why in write_federation(made, tmp_path / "data", layout)
    assert back(layout, tmp_path / "data").names == ("0", "1", "2")
    assert back(layout, tmp_path / "data").test.x.equal(made.test.x)


def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "data"
    with pytest.raises(UnknownNameError, match="Did you mean 'pfllib'"):
        write_federation(federation(), target, "pflib")
    with pytest.raises(InputError, match="class 4 has no sample"):
        write_federation(federation(classes=5, held=4), target, "npz")
    with pytest.raises(InputError, match="784 numbers"):
        write_federation(federation((784,)), target, "leaf")
    with pytest.raises(InputError, match="no folder"):
        write_federation(federation(), tmp_path / "no" / "data", "npz")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dumps", full)
    with pytest.raises(WorkError, match="No space left"):
        write_federation(federation(), target, "pfllib")
    assert list(tmp_path.iterdir()) == []
    target.mkdir()
    with pytest.raises(InputError, match="exists already"):
        write_federation(federation(), target, "npz")
