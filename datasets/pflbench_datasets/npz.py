"""Arrays of one's own: `npz:PATH`, one file of samples or a folder with a file a client."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench import DatasetSpec, Reference, hookimpl


@hookimpl
def pflbench_datasets() -> Sequence[DatasetSpec]:
    """Return the data set that is read from NumPy archives."""
    return [
        DatasetSpec(
            name="npz",
            summary="your arrays: a file of x, y [, client], or a folder with a file a client",
            size="all samples of the file or folder",
            load="pflbench_datasets.arrays:load",
            looks_like="pflbench_datasets.recognition:npz",
            takes_path=True,
            reference=Reference(
                partition="dirichlet(alpha=0.5)",
                clients=10,
                model="mlp",
                rounds=100,
                local_epochs=1,
            ),
        )
    ]
