"""CIFAR-10 and CIFAR-100: 60,000 small photographs each (Krizhevsky 2009)."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench import DatasetSpec, Reference, hookimpl


@hookimpl
def pflbench_datasets() -> Sequence[DatasetSpec]:
    """Return both CIFAR sets with the official pFedHN setting as their reference scenario."""
    return [
        _spec(classes=10, classes_per_client=2, load="load_cifar10"),
        _spec(classes=100, classes_per_client=10, load="load_cifar100"),
    ]


def _spec(*, classes: int, classes_per_client: int, load: str) -> DatasetSpec:
    return DatasetSpec(
        name=f"cifar{classes}",
        summary=f"small photographs of {classes} kinds of things (Krizhevsky 2009)",
        size=f"50,000 + 10,000 images of 3×32×32, {classes} classes",
        paper="Krizhevsky 2009",
        load=f"pflbench_datasets.batches:{load}",
        reference=Reference(
            partition=f"pathological(classes_per_client={classes_per_client})",
            clients=50,
            model="lenet",
            rounds=5000,
            local_steps=50,
            participation=0.02,
            eval_every=30,
        ),
    )
