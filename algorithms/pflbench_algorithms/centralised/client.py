"""The client half of Global: it uploads its training samples once."""

from __future__ import annotations

from pflbench.method import LocalData, Message
from pflbench_algorithms.untrained import UntrainedClient


class PoolingClient(UntrainedClient):
    """Uploads (x, y) at enrolment, and is evaluated with the server's model."""

    def enrol(self, data: LocalData) -> Message:
        """Upload the training samples."""
        return {"x": data.train.x, "y": data.train.y}
