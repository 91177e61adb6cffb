"""The clients named in the data: writers, hospitals, devices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pflbench.errors import InputError
from pflbench.federation import SPLITS, Partitioner, PartitionRequest, Split
from pflbench.federation.allocation import by_client
from pflbench.federation.client_names import client_words
from pflbench.federation.splits import SPLIT_WORDS


class NaturalPartitioner(Partitioner):
    """Every sample stays with the client that the data name for it."""

    keeps_clients = True

    def assign(
        self, request: PartitionRequest, rng: np.random.Generator
    ) -> Mapping[Split, list[np.ndarray]]:
        """Group the samples by their owners; nothing is drawn."""
        owners = request.owners
        if owners is None:
            raise InputError(
                "natural needs data with client ids, and these have none: choose another "
                "partition, such as dirichlet(alpha=0.5)."
            )
        there = 1 + max(int(owners[split].max()) for split in SPLITS)
        if there != request.clients:
            raise InputError(
                f"natural keeps the {there} clients named in the data and cannot make "
                f"{request.clients}: leave their number out."
            )
        for split in SPLITS:
            sizes = np.bincount(owners[split], minlength=there)
            if (sizes == 0).any():
                # taking a sample from another client, as elsewhere, would not be natural
                raise InputError(
                    f"natural cannot be made: {client_words(int(sizes.argmin()), request.names)} "
                    f"of the data has no {SPLIT_WORDS[split]} sample. Each client needs two "
                    "training samples (one becomes validation) and a test sample."
                )
        return {split: by_client(owners[split], there) for split in SPLITS}
