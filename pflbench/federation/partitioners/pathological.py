"""Extreme label skew: each client holds a few classes and nothing of the others.

The setting of Shamsian et al., "Personalized Federated Learning using Hypernetworks", ICML 2021,
arXiv 2103.04628. Their code leaves part of each class unused; here all of it is assigned, unless
there are more classes than N times `classes_per_client`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pflbench.errors import InputError
from pflbench.federation import Partitioner, PartitionRequest, Split, deal
from pflbench.federation.partitioners.partitioner_settings import Pathological

SHARE_LOW: Final = 0.4
SHARE_HIGH: Final = 0.6
"""Range of a client's weight in each of its classes, before weights are scaled to sum 1."""


class PathologicalPartitioner(Partitioner):
    """Each client gets `classes_per_client` distinct classes, each class equally many clients.

    Only classes with samples in every split take part: no client could be tested on the others.
    """

    parameters: Pathological

    def assign(
        self, request: PartitionRequest, rng: np.random.Generator
    ) -> Mapping[Split, list[np.ndarray]]:
        """Draw each client's classes and weights, and deal every split by them."""
        counts = [np.bincount(y, minlength=request.classes) for y in request.labels.values()]
        present = np.flatnonzero(np.min(counts, axis=0) > 0)
        wanted = self.parameters.classes_per_client
        if wanted > len(present):
            raise InputError(
                f"pathological(classes_per_client={wanted}) cannot be made: the data have "
                f"{len(present)} classes with samples in training, validation and test."
            )
        fewest = min(int(count[present].sum()) for count in counts)
        if fewest < request.clients:
            raise InputError(
                f"pathological(classes_per_client={wanted}) cannot be made: {request.clients} "
                f"clients need a sample each in every split, and a split has {fewest} of the "
                "classes that are in training, validation and test."
            )
        shares = np.zeros((request.clients, request.classes))
        for i, chosen in enumerate(_balanced(request.clients, len(present), wanted, rng)):
            shares[i, present[chosen]] = rng.uniform(SHARE_LOW, SHARE_HIGH, size=wanted)
        return {split: deal(shares, y, rng) for split, y in request.labels.items()}


def _balanced(
    clients: int, classes: int, each: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Choose `each` distinct classes for every client: at random among those least used so far.

    So the numbers of clients of any two classes differ by at most one.
    """
    used = np.zeros(classes, dtype=np.int64)
    choices = []
    for _ in range(clients):
        chosen = np.lexsort((rng.random(classes), used))[:each]
        used[chosen] += 1
        choices.append(chosen)
    return choices
