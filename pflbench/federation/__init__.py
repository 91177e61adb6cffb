"""Federations: clients with their splits, and how they are made from data.

Names are imported on first use: the records of partitioners need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pflbench.federation.allocation import deal
    from pflbench.federation.assembly import build
    from pflbench.federation.participation import Attendance, Census, Participation
    from pflbench.federation.partitioner import Partitioner, PartitionRequest
    from pflbench.federation.pool import ClientArrays, DataRequest, Pool
    from pflbench.federation.population import Member, Population, chosen, populate
    from pflbench.federation.shards import Federation, Shards
    from pflbench.federation.splits import SPLITS, Split

__all__ = [
    "SPLITS",
    "Attendance",
    "Census",
    "ClientArrays",
    "DataRequest",
    "Federation",
    "Member",
    "Participation",
    "PartitionRequest",
    "Partitioner",
    "Pool",
    "Population",
    "Shards",
    "Split",
    "build",
    "chosen",
    "deal",
    "populate",
]

_HOMES = {
    "Attendance": "pflbench.federation.participation",
    "Census": "pflbench.federation.participation",
    "ClientArrays": "pflbench.federation.pool",
    "DataRequest": "pflbench.federation.pool",
    "Federation": "pflbench.federation.shards",
    "Member": "pflbench.federation.population",
    "Participation": "pflbench.federation.participation",
    "PartitionRequest": "pflbench.federation.partitioner",
    "Partitioner": "pflbench.federation.partitioner",
    "Pool": "pflbench.federation.pool",
    "Population": "pflbench.federation.population",
    "SPLITS": "pflbench.federation.splits",
    "Shards": "pflbench.federation.shards",
    "Split": "pflbench.federation.splits",
    "build": "pflbench.federation.assembly",
    "chosen": "pflbench.federation.population",
    "deal": "pflbench.federation.allocation",
    "populate": "pflbench.federation.population",
}


def __getattr__(name: str) -> Any:
    """Import names that need torch only on first use."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
