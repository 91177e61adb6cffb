"""Local steps read no value back: on an accelerator each such reading would wait for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_federations import simulate
from torch.utils._python_dispatch import TorchDispatchMode

from pflbench.engine.descent import Descent, HeadedDescent
from pflbench.method import Sgd

READING = {"aten._local_scalar_dense", "aten.nonzero", "aten.equal", "aten.masked_select"}
"""Operations whose result the processor must have before it can go on."""


class Watch(TorchDispatchMode):
    """Notes the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func).rsplit(".", 1)[0])
        return func(*args, **(kwargs or {}))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the operations of all local steps from now on."""
    seen: list[str] = []

    def watching(step: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            with Watch() as watch:
                result = step(*arguments)
            seen.extend(watch.seen)
            return result

        return noted

    for kind in (Descent, HeadedDescent):
        monkeypatch.setattr(kind, "step", watching(kind.step))
    return seen


@pytest.mark.parametrize("decay", [0.0, 1e-3])
@pytest.mark.parametrize(
    "client",
    [
        "pflbench.method:Client",
        "small_methods:Pulled",
        "small_methods:AllTerms",
        "small_methods:AllSmallPlaces",
    ],
)
def test_no_step_reads_a_value_back(client: str, decay: float, watched: list[str]) -> None:
    simulation = simulate(client, optimiser=Sgd(0.1, 0.9, decay), engine="stacked")
    simulation.round(0)
    assert len(watched) > 100, "no step was seen"
    assert not READING & set(watched)


def test_a_reading_would_be_seen() -> None:
    with Watch() as watch:
        float(torch.ones(()))
    assert READING & set(watch.seen)
