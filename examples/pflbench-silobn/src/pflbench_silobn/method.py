"""SiloBN's client half: some columns of the federation's matrix are shared, the others private."""

from __future__ import annotations

from pflbench.method import Client, Columns
from pflbench.schema.parameters import NoParameters


class SiloBNClient(Client[NoParameters]):
    """Keeps running means and variances; scale and shift are averaged with all other weights."""

    def private(self) -> Columns:
        """Return the columns of the running statistics."""
        return self.task.layout.block("buffers")
