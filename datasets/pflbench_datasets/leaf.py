"""Folders of LEAF as they are: `leaf:FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench import DatasetSpec, Reference, hookimpl


@hookimpl
def pflbench_datasets() -> Sequence[DatasetSpec]:
    """Return the data set that is read from a folder of LEAF."""
    return [
        DatasetSpec(
            name="leaf",
            summary="a folder of LEAF: train/*.json and test/*.json, or all_data/*.json",
            size="all users of the folder, with its own training and test samples",
            paper="Caldas et al. 2018, arXiv 1812.01097",
            load="pflbench_datasets.leaf_folder:load",
            looks_like="pflbench_datasets.recognition:leaf",
            takes_path=True,
            reference=Reference(
                partition="natural", clients=None, model="mlp", rounds=100, local_epochs=1
            ),
        )
    ]
