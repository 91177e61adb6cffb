"""`indices`: partitions from files of other tools, and what they are in a run's identity."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pflbench import reproduce, run
from pflbench.errors import InputError
from pflbench.experiments.grid.reading import _placed
from pflbench.federation import SPLITS, Federation, Pool, build
from pflbench.federation.partitioners.indices import IndicesPartitioner
from pflbench.federation.partitioners.partitioner_settings import Indices
from pflbench.runs import RunRequest
from pflbench.runs.identity import identify, path_labels
from pflbench.schema.scenario import Choice, without_path

TRAIN, TEST = 60, 30
MAP = {"p10": list(range(30, 50)), "p2": list(range(29, -1, -1))}
"""As NIID-Bench's net_dataidx_map and FedLab's client_dict are: training samples by client."""


def pool(own_validation: bool = False) -> Pool:
    """Return samples that say their number: 0 to 59 for training, 100 to 129 for test."""
    x = np.arange(200, dtype=np.float32)[:, None]
    y = np.arange(200) % 3
    val: dict[str, Any] = {"val_x": x[150:180], "val_y": y[150:180]} if own_validation else {}
    held = 0 if own_validation else 10
    test = slice(100, 100 + TEST)
    return Pool(x[:TRAIN], y[:TRAIN], x[test], y[test], 3, "numbers", held, **val)


def written(folder: Path, content: Any) -> str:
    path = folder / "map.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return str(path)


def made(folder: Path, content: Any, data: Pool | None = None, **options: Any) -> Federation:
    partitioner = IndicesPartitioner(Indices(written(folder, content), **options))
    return build(data or pool(), partitioner, partitioner.fixed_clients, 0)


def rows(federation: Federation, split: Any, client: int) -> list[int]:
    return sorted(federation.split(split).client(client)[0][:, 0].int().tolist())


def test_the_clients_of_the_file_have_its_samples(tmp_path: Path) -> None:
    found = made(tmp_path, MAP)
    assert found.names == ("p2", "p10")
    for client, expected in enumerate((range(30), range(30, 50))):
        own = rows(found, "train", client) + rows(found, "val", client)
        assert sorted(own) == list(expected)
        assert len(rows(found, "val", client)) == len(expected) // 4
    given = rows(found, "test", 0) + rows(found, "test", 1)
    assert sorted(given) == list(range(100, 130))
    assert abs(len(rows(found, "test", 0)) - 18) <= 1  # 30 of the 50 samples
    own_val = made(tmp_path, MAP, pool(own_validation=True))
    assert rows(own_val, "train", 0) == list(range(30))
    assert sorted(rows(own_val, "val", 0) + rows(own_val, "val", 1)) == list(range(150, 180))


def test_splits_in_the_file_are_kept(tmp_path: Path) -> None:
    parts = [{"train": [3, 1], "val": [2], "test": [0, 5]}, {"train": [4], "val": [6], "test": [5]}]
    found = made(tmp_path, parts)
    assert [rows(found, split, 0) for split in SPLITS] == [[1, 3], [2], [100, 105]]
    assert [rows(found, split, 1) for split in SPLITS] == [[4], [6], [105]]
    merged = made(tmp_path, [{"train": [3, 61], "val": [2], "test": [60, 5]}], merged=True)
    assert [rows(merged, split, 0) for split in SPLITS] == [[3, 101], [2], [5, 100]]
    whole = made(tmp_path, [list(range(50, 70))], merged=True)
    assert sorted(itertools.chain(*(rows(whole, split, 0) for split in SPLITS))) == [
        *range(50, 60),
        *range(100, 110),
    ]
    assert whole.test.sizes.tolist() == [4]


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": ("{'a': [1]}", "is no JSON file of a partition"),
    "cut short": ('{"a": [1, 2', "is no JSON file"),
    "deep": ("[" * 100_000, "is no JSON file"),
    "a pickle": ("\x80\x04K\x01.", "is no JSON file"),
    "a client twice": ('{"a": [1, 2], "a": [3]}', "two entries are called 'a'"),
    "a number": ("7", "is of type int"),
    "no clients": ("{}", "at least one client"),
    "no samples": ({"a": [1, 2], "b": []}, r"Client 1 \(b\): the list is empty"),
    "texts": ({"a": ["1", "2"]}, "no whole numbers"),
    "truth": ({"a": [True, False]}, "no whole numbers"),
    "NaN": ('{"a": [1, NaN]}', "no whole numbers"),
    "huge": ({"a": [1, 10**30]}, "no whole numbers"),
    "ragged": ({"a": [[1, 2], [3]]}, "is not an array"),
    "beyond": ({"a": [1, TRAIN]}, "the training sample 60, and the training samples are 0 to 59"),
    "negative": ({"a": [1, -1]}, "sample -1"),
    "twice": ({"a": [1, 1, 2]}, "the training sample 1 twice"),
    "shared": ({"a": [1, 2], "b": [2, 3]}, "Sample 2 of the training samples is in two places"),
    "one sample": ({"a": [1], "b": [2, 3]}, "1 training sample in the file, expected 2"),
    "a split": ({"a": {"train": [1, 2], "tset": [1]}}, "Did you mean 'test'"),
    "some tests": ({"a": {"train": [1, 2], "test": [1]}, "b": [3, 4]}, "expected all or none"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_file_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    content, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        made(tmp_path, content)


def request(folder: Path, content: Any, **options: Any) -> RunRequest:
    path = folder / "data.npz"
    data = pool()
    x, y = np.concatenate([data.train_x] * 2), np.concatenate([data.train_y] * 2)
    np.savez(path, x=x, y=y)
    expression = f"indices(file={written(folder, content)})"
    return RunRequest("local", f"npz:{path}", partition=expression, rounds=1, **options)


def test_the_content_of_the_file_decides_a_runs_id_and_not_its_place(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    one = identify(request(tmp_path / "one", MAP)).cell
    two = identify(request(tmp_path / "two", MAP)).cell
    three = identify(request(tmp_path / "three", MAP | {"p2": list(range(29))})).cell
    assert one.id == two.id != three.id
    assert one.scenario.clients == 2
    assert str(tmp_path) not in json.dumps(one.to_json())
    assert "one/map.json" in path_labels(one.scenario)["partition"]
    with pytest.raises(InputError, match="has 2 clients, not 5"):
        identify(request(tmp_path / "one", MAP, clients=5))
    with pytest.raises(InputError, match="needs a file"):
        identify(RunRequest("local", "mnist", partition="indices"))
    moved = _placed({"partition": ["iid", "indices(file=m.json)"]}, Path("folder"))
    assert moved["partition"] == ["iid", "indices(file=folder/m.json)"]


@pytest.mark.slow
def test_such_a_run_is_reproduced_until_the_file_changes(tmp_path: Path) -> None:
    asked = request(tmp_path, MAP)
    done = run("local", asked.dataset, partition=asked.partition, rounds=1, results=tmp_path / "r")
    assert reproduce(done.run_id, results=tmp_path / "r").exact
    written(tmp_path, MAP | {"p2": [1, 2, 3]})
    with pytest.raises(InputError, match="the file is another one, or has changed"):
        reproduce(done.run_id, results=tmp_path / "r")


def test_a_file_without_a_digest_stays_in_the_identity_of_its_plugin() -> None:
    choice = Choice("theirs", {"file": "a.json"}, "1")
    assert without_path(choice) == choice
    known = Choice("indices", {"file": "a.json", "digest": "0" * 16}, "1")
    assert without_path(known).parameters == {"digest": "0" * 16}
