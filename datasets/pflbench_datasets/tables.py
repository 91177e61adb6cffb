"""Tables as they are: `csv:FILE` and `parquet:FILE`."""

from __future__ import annotations

from collections.abc import Sequence

from pflbench import DatasetSpec, Reference, hookimpl


@hookimpl
def pflbench_datasets() -> Sequence[DatasetSpec]:
    """Return the data sets that are read from tables."""
    return [
        DatasetSpec(
            name=name,
            summary=f"a {title} table: {name}:FILE?client=hospital&label=y, or a file a client",
            size="all rows of the table",
            load=f"pflbench_datasets.table_loading:load_{name}",
            looks_like=f"pflbench_datasets.recognition:{name}",
            takes_path=True,
            reference=Reference(
                partition="dirichlet(alpha=0.5)",
                clients=10,
                model="mlp",
                rounds=100,
                local_epochs=1,
            ),
        )
        for name, title in (("csv", "CSV"), ("parquet", "Parquet"))
    ]
