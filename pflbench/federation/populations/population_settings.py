"""Parameters of the built-in populations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pflbench.schema.parameters import Param
from pflbench.schema.shares import ShareOf

SHARE = ShareOf(before="half up")
OUTSIDERS = ShareOf(spare=1, before="half up")
MINORITY = ShareOf(most=0.5, before="half up")


@dataclass(frozen=True)
class PermutedLabels:
    """Parameters of `permuted-labels`."""

    share: Annotated[
        float, Param("share of the clients with permuted labels", gt=0, le=1, share_of=SHARE)
    ] = 0.25


@dataclass(frozen=True)
class Foreign:
    """Parameters of `foreign`."""

    dataset: Annotated[
        str, Param("data set that they come from: same shape of samples, as many classes")
    ] = "fashion-mnist"
    share: Annotated[
        float, Param("share of the clients that come from it", gt=0, lt=1, share_of=OUTSIDERS)
    ] = 0.25


@dataclass(frozen=True)
class Groups:
    """Parameters of `groups`."""

    minority: Annotated[
        float, Param("share of the clients that are the minority", gt=0, le=0.5, share_of=MINORITY)
    ] = 0.2  # fmt: skip
    change: Annotated[
        Literal["labels", "turn"],
        Param("what differs: labels, which are permuted, or inputs, images turned by 180 degrees"),
    ] = "labels"
