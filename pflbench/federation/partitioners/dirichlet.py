"""Label skew by Dirichlet draws.

The division of every class by a draw from Dir(alpha) over the clients is that of Yurochkin et
al., "Bayesian Nonparametric Federated Learning of Neural Networks", ICML 2019,
arXiv 1905.12022. (Hsu et al. 2019, arXiv 1909.06335, draw over the classes for clients of equal
size instead.) Clients differ in their classes and, for small alpha, much in size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pflbench.federation import Partitioner, PartitionRequest, Split, deal
from pflbench.federation.partitioners.partitioner_settings import Dirichlet


class DirichletPartitioner(Partitioner):
    """Each class is divided by its own draw, the same on train, validation and test.

    Clients are drawn once, without rejection: the caller gives samples to empty clients, so 1,000
    clients at alpha 0.1 take no longer than 10 at alpha 10.
    """

    parameters: Dirichlet

    def assign(
        self, request: PartitionRequest, rng: np.random.Generator
    ) -> Mapping[Split, list[np.ndarray]]:
        """Draw shares [N, C] and deal every split by them."""
        concentration = np.full(request.clients, float(self.parameters.alpha))
        shares = rng.dirichlet(concentration, size=request.classes).T
        return {split: deal(shares, y, rng) for split, y in request.labels.items()}
