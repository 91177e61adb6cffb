"""Parameters of the built-in populations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pflbench.parameters import Param


@dataclass(frozen=True)
class PermutedLabels:
    """Parameters of `permuted-labels`."""

    share: Annotated[float, Param("share of the clients with permuted labels", gt=0, le=1)] = 0.25


@dataclass(frozen=True)
class Foreign:
    """Parameters of `foreign`."""

    dataset: Annotated[
        str, Param("data set that they come from: same shape of samples, as many classes")
    ] = "fashion-mnist"
    share: Annotated[float, Param("share of the clients that come from it", gt=0, lt=1)] = 0.25


@dataclass(frozen=True)
class Groups:
    """Parameters of `groups`."""

    minority: Annotated[
        float, Param("share of the clients that are the minority", gt=0, le=0.5)
    ] = 0.2  # fmt: skip
    change: Annotated[
        Literal["labels", "turn"],
        Param("what differs: labels, which are permuted, or inputs, images turned by 180 degrees"),
    ] = "labels"
