"""Federations: clients with their splits, and how they are made from data."""

from pflbench.federation.allocation import deal
from pflbench.federation.build import build
from pflbench.federation.partitioner import Partitioner, PartitionRequest
from pflbench.federation.pool import ClientArrays, DataRequest, Pool
from pflbench.federation.shards import SPLITS, Federation, Shards, Split

__all__ = [
    "SPLITS",
    "ClientArrays",
    "DataRequest",
    "Federation",
    "PartitionRequest",
    "Partitioner",
    "Pool",
    "Shards",
    "Split",
    "build",
    "deal",
]
