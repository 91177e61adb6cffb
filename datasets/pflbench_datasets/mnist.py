"""MNIST: 70,000 handwritten digits (LeCun, Cortes, Burges 1998)."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench import DatasetSpec, Reference, hookimpl


@hookimpl
def pflbench_datasets() -> Sequence[DatasetSpec]:
    """Return MNIST with the official FEDORA setting as its reference scenario."""
    return [
        DatasetSpec(
            name="mnist",
            summary="handwritten digits (LeCun 1998)",
            size="60,000 + 10,000 images of 1×28×28, 10 classes",
            paper="LeCun, Bottou, Bengio, Haffner, Proceedings of the IEEE 1998, "
            "doi 10.1109/5.726791",
            load="pflbench_datasets.idx:load_mnist",
            reference=Reference(
                partition="rotated(step=10)", clients=36, model="mlp", rounds=500, local_epochs=5
            ),
        )
    ]
