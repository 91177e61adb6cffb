"""Fashion-MNIST: 70,000 images of clothing (Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747)."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench import DatasetSpec, Reference, hookimpl


@hookimpl
def pflbench_datasets() -> Sequence[DatasetSpec]:
    """Return Fashion-MNIST with the official FEDORA setting as its reference scenario."""
    return [
        DatasetSpec(
            name="fashion-mnist",
            summary="images of clothing (Xiao 2017)",
            size="60,000 + 10,000 images of 1×28×28, 10 classes",
            paper="Xiao, Rasul, Vollgraf 2017, arXiv 1708.07747",
            load="pflbench_datasets.idx:load_fashion_mnist",
            reference=Reference(
                partition="rotated(step=10)", clients=36, model="mlp", rounds=500, local_epochs=5
            ),
        )
    ]
