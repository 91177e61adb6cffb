"""Size skew: clients with many and with few samples of the same distribution."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pflbench.federation import Partitioner, PartitionRequest, Split, deal
from pflbench.federation.partitioners.partitioner_settings import Quantity


class QuantityPartitioner(Partitioner):
    """The clients' shares of all samples are one draw from Dir(alpha); classes are stratified.

    The division of Li et al., "Federated Learning on Non-IID Data Silos", ICDE 2022,
    arXiv 2102.02079, section on quantity skew.
    """

    parameters: Quantity

    def assign(
        self, request: PartitionRequest, rng: np.random.Generator
    ) -> Mapping[Split, list[np.ndarray]]:
        """Draw sizes [N] and deal every class of every split by them."""
        sizes = rng.dirichlet(np.full(request.clients, float(self.parameters.alpha)))
        shares = np.repeat(sizes[:, None], request.classes, axis=1)
        return {split: deal(shares, y, rng) for split, y in request.labels.items()}
