"""PFLlib's folders as they are: `pfllib:FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench import DatasetSpec, Reference, hookimpl


@hookimpl
def pflbench_datasets() -> Sequence[DatasetSpec]:
    """Return the data set that is read from a folder of PFLlib."""
    return [
        DatasetSpec(
            name="pfllib",
            summary="a folder of PFLlib: train/0.npz ..., test/0.npz ..., config.json",
            size="all clients of the folder, with its own training and test samples",
            load="pflbench_datasets.pfllib_folder:load",
            looks_like="pflbench_datasets.recognition:pfllib",
            takes_path=True,
            reference=Reference(
                partition="natural", clients=None, model="mlp", rounds=100, local_epochs=1
            ),
        )
    ]
