"""Parameters that nobody trains are no part of a row: one copy, downloaded once a client."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_federations import arrays_of, federation_of
from torch import Tensor, nn

import pflbench
from pflbench import Federation

SHORT: dict[str, Any] = {"rounds": 3, "batch_size": 8, "eval_every": 1}
BACKBONE = (6 * 7 + 7) * 4
"""Bytes of the frozen part."""


class Net(nn.Module):
    """A frozen backbone and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(6, 7).requires_grad_(False)
        self.head = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.backbone(x.flatten(1)).tanh())
        return out


class Head(nn.Module):
    """The classifier alone."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x)
        return out


def seen_through(net: Net) -> Federation:
    """Return the federation of what the backbone makes of the inputs."""
    clients = arrays_of()
    for client in clients:
        for split in ("train", "val", "test"):
            x = torch.from_numpy(client[f"{split}_x"]).float().flatten(1)
            client[f"{split}_x"] = net.backbone(x).tanh().numpy()
    return Federation.from_arrays(clients, 3)


@pytest.mark.mostly_slow("adam-stacked")
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("optimizer", [None, "adam"])
def test_it_trains_as_a_classifier_of_features_does(engine: Any, optimizer: str | None) -> None:
    net = Net()
    asked: dict[str, Any] = {**SHORT, "engine": engine, "optimizer": optimizer, "head": "head."}
    whole = pflbench.run("fedavg", federation_of(), model=net, **asked)
    part = pflbench.run("fedavg", seen_through(net), model=Head(net.head), **asked)
    np.testing.assert_allclose(whole.metrics["loss"], part.metrics["loss"], rtol=1e-4, atol=1e-6)
    assert whole.summary["parameters"] == part.summary["parameters"] == 7 * 3 + 3
    frozen = whole.messages.query("kind == 'frozen'")
    assert frozen.to_numpy().tolist() == [[-1, "down", "frozen", 5, 5 * BACKBONE]]
    others = whole.messages.query("kind != 'frozen'").reset_index(drop=True)
    pd.testing.assert_frame_equal(others, part.messages)
    assert whole.summary["bytes_down"] == part.summary["bytes_down"] + 5 * BACKBONE
    assert whole.summary["bytes_up"] == part.summary["bytes_up"]


def test_a_client_that_joins_downloads_it_then() -> None:
    rule = "join(at=2, share=0.4, over=2)"
    result = pflbench.run(
        "fedavg", federation_of(), model=Net, participation=rule, **{**SHORT, "rounds": 4}
    )
    joined = result.participation.query("event == 'joined'")
    assert len(joined)
    frozen = result.messages.query("kind == 'frozen'").set_index("round")["messages"].to_dict()
    assert frozen == {-1: 5 - len(joined), **joined.groupby("round").size().to_dict()}
    told = result.messages.query("direction == 'down' and round > 0").groupby("round")["bytes"]
    assert told.sum().tolist() == result.rounds["bytes_down"].tolist()
    down = result.messages.query("direction == 'down'")["bytes"]
    assert result.summary["bytes_down"] == down.sum()
