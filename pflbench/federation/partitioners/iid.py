"""No heterogeneity, for comparison."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pflbench.federation import Partitioner, PartitionRequest, Split, deal


class IidPartitioner(Partitioner):
    """Equal parts of every class: sizes differ by one sample at most, classes by one each."""

    def assign(
        self, request: PartitionRequest, rng: np.random.Generator
    ) -> Mapping[Split, list[np.ndarray]]:
        """Give every client the same share of every class."""
        shares = np.ones((request.clients, request.classes))
        return {split: deal(shares, y, rng) for split, y in request.labels.items()}
