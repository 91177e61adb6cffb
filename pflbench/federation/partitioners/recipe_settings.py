"""Parameters of the partitions of published code."""

from __future__ import annotations

from dataclasses import dataclass

from pflbench.schema.parameters import param


@dataclass(frozen=True)
class PfllibDir:
    """Parameters of `pfllib-dir`."""

    alpha: float = param(
        0.1, "concentration of the Dirichlet draws", ge=1e-3, le=1e6, source="PFLlib"
    )


@dataclass(frozen=True)
class PfllibPat:
    """Parameters of `pfllib-pat`."""

    classes_per_client: int = param(2, "classes of each client", ge=1, source="PFLlib, MNIST")
    balance: bool = param(False, "whether the holders of a class get equally many", source="PFLlib")


@dataclass(frozen=True)
class PfllibExdir:
    """Parameters of `pfllib-exdir`."""

    classes_per_client: int = param(2, "classes of each client", ge=1)
    alpha: float = param(
        100.0, "concentration of the Dirichlet draws", ge=1e-3, le=1e6, source="PFLlib"
    )


@dataclass(frozen=True)
class FedrepShards:
    """Parameters of `fedrep-shards`."""

    shards: int = param(2, "shards of each client", ge=1, source="FedRep official code, CIFAR-10")


@dataclass(frozen=True)
class NiidLabel:
    """Parameters of `niid-label`."""

    classes_per_client: int = param(2, "classes of each client", ge=1, source="NIID-Bench")


@dataclass(frozen=True)
class NiidBeta:
    """Parameters of `niid-labeldir` and `niid-quantity`."""

    beta: float = param(
        0.5, "concentration of the Dirichlet draws", ge=1e-3, le=1e6, source="NIID-Bench"
    )


@dataclass(frozen=True)
class Hsu:
    """Parameters of `hsu`."""

    alpha: float = param(
        1.0, "concentration of each client's draw, over all classes together", ge=1e-2, le=1e6
    )


@dataclass(frozen=True)
class InnerDirichlet:
    """Parameters of `inner-dirichlet`."""

    alpha: float = param(
        0.3, "concentration of each client's draw, for every class", ge=1e-2, le=1e6
    )


@dataclass(frozen=True)
class Lognormal:
    """Parameters of `lognormal`."""

    sigma: float = param(
        1.0, "standard deviation of the logarithms of the sizes; 0 for equal ones", ge=0, le=10
    )
