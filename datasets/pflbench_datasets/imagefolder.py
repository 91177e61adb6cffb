"""Images of one's own, a folder a class: `imagefolder:PATH`."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench import DatasetSpec, Reference, hookimpl


@hookimpl
def pflbench_datasets() -> Sequence[DatasetSpec]:
    """Return the data set that is read from a folder of images."""
    return [
        DatasetSpec(
            name="imagefolder",
            summary="your images: PATH/CLASS/*.png, or PATH/train/CLASS and PATH/test/CLASS",
            size="all images of the folder; of one size, grey or RGB",
            load="pflbench_datasets.images:load",
            looks_like="pflbench_datasets.recognition:imagefolder",
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
