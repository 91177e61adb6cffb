"""Data of a user's own through the command line: what is said of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from calling import Call
from PIL import Image

import pflbench as package
from pflbench.errors import InputError
from pflbench.results import Store

RNG = np.random.default_rng(0)
SHORT = ("--rounds", "1", "--device", "cpu")


def save(name: str, x: np.ndarray, classes: int = 2) -> str:
    np.savez(name, x=x, y=np.arange(len(x)) % classes)
    return f"npz:{name}"


def test_clients_tested_on_classes_that_they_never_saw_are_counted(
    folder: Path, pflbench: Call
) -> None:
    data = save("ten.npz", RNG.random((600, 4)).astype(np.float32), 10)
    scenario = ("--dataset", data, "--clients", "100")
    done = pflbench(
        "run", "--algo", "local", *scenario, "--partition", "dirichlet(alpha=0.5)", *SHORT
    )
    assert done.exit_code == 0, done.stderr
    (run,) = Store(folder / "results").runs()
    held = run.table("partition").pivot_table(
        index=("client", "class"), columns="split", values="samples"
    )
    tested = held[held["test"] > 0]
    unseen = tested["train"].eq(0).groupby("client")
    only, some = int(unseen.all().sum()), int((unseen.any() & ~unseen.all()).sum())
    assert min(only, some) > 1  # else the next line is of another form
    said = (
        f"{only} of 100 clients are tested only on classes of which they have no training sample, "
        f"and {some} more on some such classes."
    )
    assert f"Notice: {said}" in done.stderr
    assert "notice" not in {key for key, value in run.labels.items() if value}
    assert said in pflbench("show", "partition", "dirichlet(alpha=0.5)", *scenario).stdout
    even = pflbench("show", "partition", "iid", "--dataset", data, "--clients", "4")
    assert "training sample" not in even.stdout


def test_an_image_folders_own_validation_pool_is_said(folder: Path, pflbench: Call) -> None:
    for split, n in (("train", 9), ("val", 4), ("test", 5)):
        for c in "ab":
            (folder / "img" / split / c).mkdir(parents=True)
            for i in range(n):
                Image.fromarray(RNG.integers(0, 256, (4, 4), np.uint8)).save(
                    folder / "img" / split / c / f"{i}.png"
                )
    scenario = ("--algo", "local", "--dataset", "imagefolder:img", "--clients", "2", *SHORT)
    said = "Notice: The 8 images of val/ are the validation pool: no client trains on them."
    assert said in pflbench("run", *scenario, "--dry-run").stderr
    done = pflbench("run", *scenario)
    assert said in done.stderr
    (run,) = Store(folder / "results").runs()
    assert run.table("partition").groupby("split")["samples"].sum().to_dict() == {
        "train": 18,
        "val": 8,
        "test": 10,
    }


LAST = np.zeros((40, 20, 20, 3), np.uint8) + 255
FIRST = LAST.transpose(0, 3, 1, 2)


@pytest.mark.parametrize(
    "wanting",
    [
        ("--partition", "rotated(step=30)"),
        ("--population", "groups(change=turn)"),
        ("--model", "lenet"),
    ],
    ids=lambda wanting: wanting[1],
)
def test_channels_that_are_last_are_refused_where_images_are_needed(
    wanting: tuple[str, str], folder: Path, pflbench: Call
) -> None:
    scenario = ("run", "--algo", "local", "--clients", "3", *SHORT, *wanting, "--dataset")
    refused = pflbench(*scenario, save("last.npz", LAST))
    assert refused.exit_code == 2
    assert "x.transpose(0, 3, 1, 2) puts them first" in refused.stderr
    assert not (folder / "results").exists()
    done = pflbench(*scenario, save("first.npz", FIRST))
    assert done.exit_code == 0, done.stderr


def test_arrays_in_memory_with_channels_last_are_refused_likewise() -> None:
    own = {s: (LAST[:6] / np.float32(255), np.arange(6) % 2) for s in ("train", "val", "test")}
    federation = package.Federation.from_arrays([own] * 3)
    for wanting in ({"model": "lenet"}, {"population": "groups(change=turn)"}):
        with pytest.raises(InputError, match=r"x.transpose\(0, 3, 1, 2\) puts them first"):
            package.run("local", federation, rounds=1, device="cpu", **wanting)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((20, 20), r"x\[:, None\] adds the one channel"),
        ((400,), r"x.reshape\(-1, 1, 20, 20\) makes images"),
        ((7,), r"have shape \(7,\)\."),
        ((20, 20, 4), "the channels are last"),
        ((3, 20, 1), "the channels are last"),
    ],
)
def test_what_is_no_image_is_not_turned(shape: tuple[int, ...], message: str, folder: Path) -> None:
    data = save("x.npz", RNG.random((40, *shape)).astype(np.float32))
    with pytest.raises(InputError, match=message):
        package.run("local", data, partition="rotated", clients=2, rounds=1)


@pytest.mark.parametrize("shape", [(1, 20, 3), (2, 6, 4), (4, 20, 4), (1, 2, 1)])
def test_narrow_images_are_images(shape: tuple[int, ...], folder: Path) -> None:
    data = save("x.npz", RNG.random((40, *shape)).astype(np.float32))
    run = package.run("local", data, partition="rotated", clients=2, rounds=1, device="cpu")
    assert run.summary["clients"] == 2


def test_bytes_that_may_be_no_pixels_are_said(folder: Path, pflbench: Call) -> None:
    data = save("x.npz", RNG.integers(0, 17, (40, 1, 5, 5), np.uint8))
    done = pflbench("run", "--algo", "local", "--dataset", data, "--clients", "2", *SHORT)
    assert "Notice: The inputs are bytes (uint8) from 0 to 16: they are taken for" in done.stderr


def test_the_clients_that_data_know_need_no_number(folder: Path, pflbench: Call) -> None:
    x, y = RNG.random((40, 3)).astype(np.float32), np.arange(40) % 2
    np.savez("owned.npz", x=x, y=y, client=np.arange(40) // 10)
    scenario = ("--dataset", "npz:owned.npz", "--partition", "natural", *SHORT)
    done = pflbench("run", "--algo", "local", *scenario)
    assert done.exit_code == 0, done.stderr
    plain = package.run("local", "npz:owned.npz", rounds=1, device="cpu")
    assert [run.id for run in Store(folder / "results").runs()] == [plain.run_id]
