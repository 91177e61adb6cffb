"""A partition from a file: the indices of each client's samples, as other tools write them.

NIID-Bench calls it `net_dataidx_map`, FedLab `client_dict`: for each client the indices of its
training samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pflbench.errors import InputError
from pflbench.federation import SPLITS, Partitioner, Pool, Split
from pflbench.federation.allocation import Indices, hold_out
from pflbench.federation.client_names import begin, client_words
from pflbench.federation.clients import VALIDATION_SHARE
from pflbench.federation.holdout import for_test
from pflbench.federation.index_maps import check_index_map, dealt_test, read_index_file
from pflbench.federation.merging import merged
from pflbench.federation.partitioners.partitioner_settings import Indices as Settings
from pflbench.schema.paths import path_of


class IndicesPartitioner(Partitioner):
    """Every client has the samples that the file names.

    `{"client": [indices]}` counts training samples; `{"client": {"train": [...], "val": [...],
    "test": [...]}}` counts those of the split, `val` training samples unless the data bring a
    validation split. What the file leaves open: a quarter of a client's training samples,
    stratified by class, validates; test samples are given out in the clients' shares of each
    training class. With `merged` the indices count all samples, and a fifth of a client's,
    stratified by class, is for test.
    """

    parameters: Settings

    def __init__(self, parameters: Settings) -> None:
        super().__init__(parameters.settled())  # the file is what its digest says
        self._map = read_index_file(path_of(parameters.file, "indices.file"))
        self.fixed_clients = len(self._map.parts)
        self.names = self._map.names

    def place(
        self, pool: Pool, rng: np.random.Generator
    ) -> tuple[Pool, Mapping[Split, list[np.ndarray]]]:
        """Take the indices of the file, and draw what it leaves open."""
        whole, made = self.parameters.merged, self._map
        own_validation = pool.val_x is not None and not whole
        pool = merged(pool, standardise=False) if whole else pool
        y = {split: pool.samples(split)[1].astype(np.int64) for split in SPLITS}
        words = {"train": "the training samples", "test": "the test samples"}
        words["val"] = "the validation samples" if own_validation else words["train"]
        called = {split: "the samples" if whole else words[split] for split in SPLITS}
        check_index_map(made, {split: (called[split], len(y[split])) for split in SPLITS})
        train = [own["train"] for own in made.parts]
        if made.has_test:
            test = [own["test"] for own in made.parts]
        elif whole:
            test = []
            for i, index in enumerate(train):
                self._check(len(index), 3, i)
                held = for_test(y["train"][index])
                train[i] = index[~held]
                test.append(index[held])
        else:
            test = dealt_test(made, y["train"], y["test"], pool.classes, rng)
        given = ["val" in own for own in made.parts]
        if own_validation and not any(given):
            val = dealt_test(made, y["train"], y["val"], pool.classes, rng)
            return pool, {"train": train, "val": val, "test": test}
        val = []
        for i, own in enumerate(made.parts):
            if "val" in own:
                val.append(own["val"])
                continue
            train[i], held_out = self._validation(train[i], y["train"], i, rng)
            val.append(held_out)
        if own_validation and not all(given):
            raise InputError(
                f"{begin(client_words(given.index(False), self.names))} has no validation samples "
                f"in the file, and others have: expected all or none ({pool.source})."
            )
        return pool, {"train": train, "val": val, "test": test}

    def _validation(
        self, index: Indices, y: np.ndarray, client: int, rng: np.random.Generator
    ) -> tuple[Indices, Indices]:
        self._check(len(index), 2, client)
        count = max(1, len(index) // VALIDATION_SHARE)
        kept, held = hold_out(y[index], None, count, rng)
        return index[kept], index[held]

    def _check(self, samples: int, fewest: int, client: int) -> None:
        if samples < fewest:
            raise InputError(
                f"{begin(client_words(client, self.names))} has {samples} training "
                f"sample{'' if samples == 1 else 's'} in the file, expected {fewest} or more."
            )
