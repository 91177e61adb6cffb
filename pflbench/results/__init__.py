"""Results: one folder per run, whose files are always whole."""

from __future__ import annotations

from pflbench.results.checkpoint import Checkpoint
from pflbench.results.locking import RunBusyError
from pflbench.results.measures import ClientTable, client_table, selected_round, worst_tenth
from pflbench.results.store import RunCompleteError, Store
from pflbench.results.stored import StoredRun
from pflbench.results.writer import RunWriter

__all__ = [
    "Checkpoint",
    "ClientTable",
    "RunBusyError",
    "RunCompleteError",
    "RunWriter",
    "Store",
    "StoredRun",
    "client_table",
    "selected_round",
    "worst_tenth",
]
