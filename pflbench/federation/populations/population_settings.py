"""Parameters of the built-in populations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pflbench.schema.parameters import param
from pflbench.schema.shares import ShareOf

SHARE = ShareOf(before="half up")
OUTSIDERS = ShareOf(spare=1, before="half up")
MINORITY = ShareOf(most=0.5, before="half up")


@dataclass(frozen=True)
class PermutedLabels:
    """Parameters of `permuted-labels`."""

    share: float = param(
        0.25, "share of the clients with permuted labels", gt=0, le=1, share_of=SHARE
    )


@dataclass(frozen=True)
class Foreign:
    """Parameters of `foreign`."""

    dataset: str = param(
        "fashion-mnist", "data set that they come from: same shape of samples, as many classes"
    )
    share: float = param(
        0.25, "share of the clients that come from it", gt=0, lt=1, share_of=OUTSIDERS
    )


@dataclass(frozen=True)
class Groups:
    """Parameters of `groups`."""

    minority: float = param(
        0.2, "share of the clients that are the minority", gt=0, le=0.5, share_of=MINORITY
    )
    change: Literal["labels", "turn"] = param(
        "labels",
        "what differs: labels, which are permuted, or inputs, images turned by 180 degrees",
    )
