"""A plugin's similarity measure that fails is named, and not the method that asks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_federations import federation_of
from torch import Tensor

import pflbench
from pflbench import SimilaritySpec, hookimpl
from pflbench.errors import PluginError
from pflbench.method import Message, Rows, Samples, Setup, Similarity, Task
from pflbench.schema import plugins
from pflbench.schema.error_text import sentence


class Sizes(Similarity):
    """Clients are alike whose sizes are."""

    def describe(self, data: Samples, task: Task) -> Message:
        return {"size": data.mask.sum()}

    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        return -(some["size"].unsqueeze(1) - others["size"]).abs()


class FailingToDescribe(Sizes):
    def describe(self, data: Samples, task: Task) -> Message:
        return {"size": data.mask.sum(1)}


class Untold(Sizes):
    def describe(self, data: Samples, task: Task) -> Any:
        return None


class FailingToPrepare(Sizes):
    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Rows:
        return {"size": told["sizes"]}


class Unprepared(Sizes):
    def prepare(self, told: Rows, clients: Tensor | None, setup: Setup) -> Any:
        return list(told.values())


class FailingToCompare(Sizes):
    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        return some["size"] @ others["sizes"]


class Narrow(Sizes):
    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        return super().compare(some, some, best)[:, :1]


class Plain(Sizes):
    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Any:
        return super().compare(some, others, best).tolist()


class Rude(Sizes):
    def compare(self, some: Rows, others: Rows, best: int | None = None) -> Tensor:
        torch.set_default_dtype(torch.float64)
        return super().compare(some, others, best)


class Unmakable(Sizes):
    def __init__(self, dim: int) -> None:
        raise LookupError("no such file")


FAULTS = {
    "FailingToDescribe": "",
    "Untold": "in describe: it gives NoneType, expected tensors by name",
    "FailingToPrepare": "",
    "Unprepared": "in prepare: it gives list, expected tensors by name",
    "FailingToCompare": "",
    "Narrow": "in compare: it gives [6, 1], expected [6, 6]",
    "Plain": "in compare: it gives list, expected a tensor [6, 6]",
    "Rude": "in compare: it set PyTorch's default type",
    "Unmakable": "",
}


class ThirdParty:
    @hookimpl
    def pflbench_similarities(self) -> list[SimilaritySpec]:
        return [
            SimilaritySpec(name.lower(), "x", f"{__name__}:{name}", reveals="The size.")
            for name in FAULTS
        ]


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = plugins.load(extra={"third-party": ThirdParty()})
    monkeypatch.setattr(plugins, "load", lambda: registry)
    plugins.installed.cache_clear()
    yield
    monkeypatch.undo()
    plugins.installed.cache_clear()


@pytest.mark.parametrize("name", FAULTS)
def test_a_similarity_that_fails_is_named(name: str, tmp_path: Path) -> None:
    parameters = {"similarity": name.lower(), "top_k": 1}
    with pytest.raises(Exception) as error:  # noqa: PT011 - whatever a plugin raises
        pflbench.run(
            "fedora",
            federation_of((4, 30, 5, 28, 60, 55)),
            parameters=parameters,
            rounds=1,
            device="cpu",
            results=tmp_path / "r",
        )
    said = sentence(error.value)
    assert f"The similarity {name.lower()!r} (plugin third-party)" in said
    assert FAULTS[name] in said
    assert isinstance(error.value, PluginError) == bool(FAULTS[name])
    assert "fedora" not in said
    assert torch.get_default_dtype() == torch.float32
