"""The partitioners that come with the package: ways in which clients differ."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.federation.partitioners.partitioner_settings import (
    Dirichlet,
    Pathological,
    Quantity,
    Rotated,
)
from pflbench.schema.hookspecs import hookimpl
from pflbench.schema.specs import PartitionerSpec

_HERE = "pflbench.federation.partitioners"


@hookimpl
def pflbench_partitioners() -> Sequence[PartitionerSpec]:
    """Return the built-in partitioners."""
    return [
        PartitionerSpec(
            "iid",
            "no heterogeneity: the same number of samples and the same classes for every client",
            make=f"{_HERE}.iid:IidPartitioner",
        ),
        PartitionerSpec(
            "dirichlet",
            "label skew: each class is shared out by a Dirichlet draw over the clients",
            make=f"{_HERE}.dirichlet:DirichletPartitioner",
            parameters=Dirichlet,
        ),
        PartitionerSpec(
            "pathological",
            "label skew: every client holds a few classes only",
            make=f"{_HERE}.pathological:PathologicalPartitioner",
            parameters=Pathological,
        ),
        PartitionerSpec(
            "quantity",
            "size skew: the clients' sizes are a Dirichlet draw, their class shares are equal",
            make=f"{_HERE}.quantity:QuantityPartitioner",
            parameters=Quantity,
        ),
        PartitionerSpec(
            "rotated",
            "feature shift: every client has its images rotated by a different angle",
            make=f"{_HERE}.rotated:RotatedPartitioner",
            parameters=Rotated,
        ),
        PartitionerSpec(
            "natural", "the clients named in the data", make=f"{_HERE}.natural:NaturalPartitioner"
        ),
    ]
