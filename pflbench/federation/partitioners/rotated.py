"""Feature shift: the same digits or garments, at a different angle for every client.

The setting of Wu et al., "Personalized Federated Learning with Parameter Propagation", KDD 2023,
doi 10.1145/3580305.3599464: 36 clients, 10 degrees apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from torch import Tensor

from pflbench.errors import InputError
from pflbench.federation import SPLITS, Partitioner, PartitionRequest, Split
from pflbench.federation.images import check_images
from pflbench.federation.partitioners.partitioner_settings import Rotated
from pflbench.federation.splits import SPLIT_WORDS

OFFICIAL_SIZES: Final[Mapping[Split, int | None]] = {"train": 128, "val": 64, "test": None}
"""Samples of a client in the official setting; None: an equal part of all samples."""


class RotatedPartitioner(Partitioner):
    """Client i's images are turned by i·step degrees (modulo 360), in all three splits.

    Samples are drawn at random without overlap, and equally many for every client.
    """

    parameters: Rotated

    def assign(
        self, request: PartitionRequest, rng: np.random.Generator
    ) -> Mapping[Split, list[np.ndarray]]:
        """Draw the clients' samples, regardless of class."""
        parts: dict[Split, list[np.ndarray]] = {}
        for split in SPLITS:
            available = len(request.labels[split])
            size = self._size(split, available, request.clients)
            drawn = rng.permutation(available)[: size * request.clients]
            parts[split] = list(drawn.reshape(request.clients, size))
        return parts

    def transform(self, client: int, x: Tensor) -> Tensor:
        """Turn images x [n, channels, height, width] by the client's angle."""
        # torchvision takes a second to import, which listing and other partitioners need not pay
        from torchvision.transforms.functional import rotate

        check_images(tuple(x.shape[1:]), "rotated turns")
        turned: Tensor = rotate(x, angle=self.angle(client))
        return turned

    def coordinates(self, clients: int) -> np.ndarray:
        """Return (cos, sin) of the clients' angles [N, 2]."""
        angles = np.deg2rad([self.angle(i) for i in range(clients)])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def angle(self, client: int) -> float:
        """Return the client's angle in degrees, at least 0 and below 360."""
        return float(client * self.parameters.step % 360)

    def _size(self, split: Split, available: int, clients: int) -> int:
        """Return how many samples of a split each client gets."""
        most = available // clients
        asked: int | None = getattr(self.parameters, split)
        if asked is None:
            official = OFFICIAL_SIZES[split]
            return most if official is None else min(official, most)
        if asked > most:
            raise InputError(
                f"rotated({split}={asked}) cannot be made: {clients} clients need "
                f"{asked * clients:,} {SPLIT_WORDS[split]} samples and there are {available:,}, "
                f"so at most {split}={most}."
            )
        return asked
