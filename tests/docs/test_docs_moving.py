"""The pages for users of other suites: their commands run, their tables name what is here."""

from __future__ import annotations

import json
import pickle
import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from documents import DOCS, section, table
from playing import Call, play

from pflbench.results import Store
from pflbench.schema.parameters import describe_parameters
from pflbench.schema.plugins import installed

PAGES = ("from-pfllib.md", "from-fl-bench.md", "from-flower.md", "from-fedscope.md")
RNG = np.random.default_rng(0)


def ours(page: str, *headings: str) -> list[str]:
    """Return the code in the columns 'pflbench' of a page's tables, all of them or by heading."""
    text = (DOCS / page).read_text("utf-8")
    parts = [section(DOCS / page, heading) for heading in headings] or re.split(
        r"^##", text, flags=re.M
    )
    cells = [row.get("pflbench", "") for part in parts if "\n|" in part for row in table(part)]
    return [code for cell in cells for code in re.findall("`([^`]+)`", f"`{cell}`")]


@pytest.mark.parametrize("page", PAGES)
def test_methods_and_their_parameters_are_here(page: str) -> None:
    registry = installed()
    named = [
        code for code in ours(page, "Strategies" if "flower" in page else "Methods") if code != ", "
    ]
    assert len(named) >= 9
    for code in named:
        name, _, rest = code.strip().partition("(")
        spec = registry.get(registry.algorithms, name)
        known = {info.name for info in describe_parameters(spec.parameters)}
        assert set(re.findall(r"(\w+)=", rest)) <= known, code


def femnist(root: Path) -> None:
    """Write four users as LEAF does, without a split, as FederatedScope keeps them."""
    users = {
        f"f{i}": {"x": RNG.random((20, 784)).round(2).tolist(), "y": [j % 4 for j in range(20)]}
        for i in range(4)
    }
    content = {"users": list(users), "num_samples": [20] * 4, "user_data": users}
    (root / "all_data").mkdir(parents=True)
    (root / "all_data" / "all_data_0.json").write_text(json.dumps(content))


class Partition(dict[str, np.ndarray]):
    def with_format(self, form: str) -> Partition:
        assert form == "numpy"
        return self


def partition(_: int) -> Partition:
    """Return a client's images, as Flower Datasets does."""
    images = RNG.integers(0, 256, (30, 28, 28), np.uint8)
    return Partition(image=images, label=np.arange(30) % 3)


def given(page: str, folder: Path, command_line: Call) -> dict[str, Any]:
    """Make the folders and objects of the other suite that a page begins with."""
    if page == "from-pfllib.md":
        Path("PFLlib/dataset").mkdir(parents=True)
        made = "export-data PFLlib/dataset/MNIST --layout pfllib --dataset mnist --clients 10"
        assert command_line([*made.split(), "--partition", "iid"]).exit_code == 0
        shutil.rmtree("PFLlib/dataset/MNIST/val")  # which PFLlib does not write
    if page == "from-fl-bench.md":
        Path("data/mnist").mkdir(parents=True)
        parts = [np.arange(40 * i, 40 * (i + 1)) for i in range(4)]
        split = [{"train": p[:30], "val": p[:0], "test": p[30:]} for p in parts]
        Path("data/mnist/partition.pkl").write_bytes(pickle.dumps({"data_indices": split}))
        images = RNG.integers(0, 256, (160, 1, 28, 28)).astype(np.float32)
        return {"dataset": SimpleNamespace(data=images, targets=np.arange(160) % 4)}
    if page == "from-flower.md":
        return {"fds": SimpleNamespace(load_partition=partition)}
    if page == "from-fedscope.md":
        femnist(folder / "data" / "femnist" / "raw")
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_page_runs(page: str, folder: Path, command_line: Call) -> None:
    play(DOCS / page, command_line, **given(page, folder, command_line))
    runs = Store(folder / "results").runs()
    assert len(runs) >= 3
    assert {run.status for run in runs} == {"complete"}


LACKED = (
    "cifar10",
    "fashion",
    "PATH",
    "FILE",
    "NAME",
    "tensorboard",
    "wandb",
    "cuda",
    "char-lstm",
    "resnet18",
)
"""In options that need data, packages or devices that a test may lack."""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_option_of_the_tables_is_taken(page: str, folder: Path, command_line: Call) -> None:
    given(page, folder, command_line)
    images = RNG.random((2000, 1, 28, 28)).astype(np.float32)
    np.savez("small.npz", x=images, y=np.arange(2000) % 10)
    options = [code for code in ours(page) if code.startswith("--")]
    assert len(options) > 9
    for code in options:
        if any(word in code for word in LACKED):
            continue
        others = {
            "--algo": "local",
            "--dataset": "npz:small.npz",
            "--clients": "20",
            "--model": "resnet8" if "fedbn" in code else "mlp",
        }
        rest = [w for name, value in others.items() if name not in code for w in (name, value)]
        rest = rest[:2] if "pfllib:" in code else rest
        done = command_line(["run", "--dry-run", *rest, *shlex.split(code)])
        assert done.exit_code == 0, f"{code}\n{done.output}"
