"""Federations: clients with their splits, and how they are made from data."""

from pflbench.federation.allocation import deal
from pflbench.federation.build import build
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
