"""The partitioners that come with the package: ways in which clients differ."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench.federation.partitioners.partitioner_settings import (
    Dirichlet,
    Indices,
    Pathological,
    Quantity,
    Rotated,
)
from pflbench.federation.partitioners.recipe_settings import (
    FedrepShards,
    Hsu,
    InnerDirichlet,
    Lognormal,
    NiidBeta,
    NiidLabel,
    PfllibDir,
    PfllibExdir,
    PfllibPat,
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
            "indices",
            "a partition from a file: the indices of each client's samples",
            make=f"{_HERE}.indices:IndicesPartitioner",
            parameters=Indices,
        ),
        PartitionerSpec(
            "natural", "the clients named in the data", make=f"{_HERE}.natural:NaturalPartitioner"
        ),
        PartitionerSpec(
            "pfllib-dir",
            "PFLlib's dir: Dirichlet shares of each class, capped; training and test merged",
            make=f"{_HERE}.recipes:PfllibDirPartitioner",
            parameters=PfllibDir,
        ),
        PartitionerSpec(
            "pfllib-pat",
            "PFLlib's pat: a few classes each, neighbours alike; training and test merged",
            make=f"{_HERE}.recipes:PfllibPatPartitioner",
            parameters=PfllibPat,
        ),
        PartitionerSpec(
            "pfllib-exdir",
            "PFLlib's exdir: a few classes each, Dirichlet among holders; merged",
            make=f"{_HERE}.recipes:PfllibExdirPartitioner",
            parameters=PfllibExdir,
        ),
        PartitionerSpec(
            "pfedme-mnist",
            "pFedMe's MNIST: two classes each, drawn sizes, standardised; merged",
            make=f"{_HERE}.recipes:PfedmeMnistPartitioner",
        ),
        PartitionerSpec(
            "fedrep-shards",
            "FedRep's: shards of single classes, the same classes in every split",
            make=f"{_HERE}.recipes:FedrepShardsPartitioner",
            parameters=FedrepShards,
        ),
        PartitionerSpec(
            "niid-label",
            "NIID-Bench's #label: class i mod C and others at random, shared equally",
            make=f"{_HERE}.recipes:NiidLabelPartitioner",
            parameters=NiidLabel,
        ),
        PartitionerSpec(
            "niid-labeldir",
            "NIID-Bench's labeldir: Dirichlet shares of each class, capped, 10 samples or more",
            make=f"{_HERE}.recipes:NiidLabeldirPartitioner",
            parameters=NiidBeta,
        ),
        PartitionerSpec(
            "niid-quantity",
            "NIID-Bench's quantity: sizes are a Dirichlet draw, 10 samples or more",
            make=f"{_HERE}.recipes:NiidQuantityPartitioner",
            parameters=NiidBeta,
        ),
        PartitionerSpec(
            "hsu",
            "Hsu et al. 2019: equal sizes, each client's classes a Dirichlet draw of its own",
            make=f"{_HERE}.recipes:HsuPartitioner",
            parameters=Hsu,
        ),
        PartitionerSpec(
            "inner-dirichlet",
            "FedLab's, after Acar: equal sizes, a Dirichlet draw for each client's classes",
            make=f"{_HERE}.recipes:InnerDirichletPartitioner",
            parameters=InnerDirichlet,
        ),
        PartitionerSpec(
            "lognormal",
            "FedLab's: sizes are log-normal, classes at random",
            make=f"{_HERE}.recipes:LognormalPartitioner",
            parameters=Lognormal,
        ),
    ]
