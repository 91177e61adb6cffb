"""Writing one run: checkpoints while it runs, its tables and summary when it ends."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pflbench.errors import DamagedError, WorkError
from pflbench.results import checkpoint
from pflbench.results.checkpoint import Checkpoint
from pflbench.results.files import write_json, write_table, writing
from pflbench.results.locking import RunLock
from pflbench.results.model_file import KeptModels, read_kept, write_models
from pflbench.results.prediction_file import (
    KeptPredictions,
    read_kept_predictions,
    write_predictions,
)
from pflbench.results.sealing import sealed
from pflbench.results.stored import (
    CHECKPOINT,
    FAILURE,
    PREDICTIONS,
    SEAL,
    SUMMARY,
    StoredRun,
    load,
    model_files,
    table_file,
)

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor


class RunWriter:
    """The one door through which a run's results are written; made by `Store.open`.

    A context manager: leaving it gives the run's lock back. A run left without `complete` or
    `fail` is unfinished, and resumes from its last checkpoint when it is opened again.

    Every method raises `WorkError` if something cannot be written, and leaves whole files
    unchanged.

    Attributes
    ----------
    id
        The run id.
    folder
        The run's folder.
    """

    def __init__(self, folder: Path, lock: RunLock) -> None:
        self.id, self.folder = folder.name, folder
        self._lock = lock

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the run's lock back; nothing can be written afterwards."""
        self._lock.release()

    def checkpoint(
        self,
        round: int,
        tensors: Mapping[str, Tensor],
        tables: Mapping[str, pd.DataFrame],
        counters: Mapping[str, Any],
        parts: Iterable[Mapping[str, Tensor]] = (),
    ) -> None:
        """Keep the run's state after `round` rounds; the last one is kept until this is whole.

        `parts` are further tensors, written one part after the other, so that they need not be in
        memory together.
        """
        self._held()
        checkpoint.save(self.folder / CHECKPOINT, round, tensors, tables, counters, parts)

    def restore(self, rounds: int | None = None) -> Checkpoint | None:
        """Return the state to resume from, None to start at the beginning.

        A damaged checkpoint is reported by a `CheckpointWarning` and skipped. With `rounds`, the
        run's number of rounds, so is one whose round or table of rounds does not fit.
        """
        self._held()
        return checkpoint.restore(self.folder / CHECKPOINT, rounds)

    def keep(self, models: KeptModels, tensors: Mapping[str, Tensor]) -> None:
        """Keep personal models; they belong to the run if it is completed."""
        self._held()
        write_models(self.folder, models, tensors)

    @property
    def models(self) -> list[KeptModels]:
        """What models have been kept, by this attempt or an earlier one, as far as whole."""
        found = []
        for name in model_files(self.folder):
            with suppress(DamagedError):
                found.append(read_kept(self.folder / name))
        return found

    def forget_models(self, besides: Sequence[KeptModels] = ()) -> None:
        """Remove the other models that were kept, by this attempt or an earlier one."""
        self._held()
        kept = {models.file for models in besides}
        for name in model_files(self.folder):
            if name not in kept:
                with writing(self.folder / name):
                    (self.folder / name).unlink(missing_ok=True)

    def keep_predictions(self, kept: KeptPredictions, tensors: Mapping[str, Tensor]) -> None:
        """Keep predictions in place of earlier ones; they belong to the run if it is completed."""
        self._held()
        write_predictions(self.folder / PREDICTIONS, kept, tensors)

    @property
    def predictions(self) -> KeptPredictions | None:
        """What predictions have been kept; None if none are whole."""
        try:
            return read_kept_predictions(self.folder / PREDICTIONS)
        except DamagedError:
            return None

    def forget_predictions(self) -> None:
        """Remove the predictions that were kept."""
        self._held()
        with writing(self.folder / PREDICTIONS):
            (self.folder / PREDICTIONS).unlink(missing_ok=True)

    def complete(self, tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any]) -> StoredRun:
        """Write the tables, then the summary, whose presence means that the run is complete."""
        self._write(tables)
        seal = sealed(self.folder, summary)
        return self._end(SUMMARY, {**summary, SEAL: seal})

    def fail(self, tables: Mapping[str, pd.DataFrame], failure: Mapping[str, Any]) -> StoredRun:
        """Write the tables so far, then the error and its place; keep no models and predictions."""
        self.forget_models()
        self.forget_predictions()
        self._write(tables)
        return self._end(FAILURE, failure)

    def _write(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self._held()
        for name, table in tables.items():
            write_table(self.folder / table_file(name), table)

    def _end(self, last: str, content: Mapping[str, Any]) -> StoredRun:
        write_json(self.folder / last, content)
        # The run is whole now: a checkpoint that resists removal wastes space and harms nothing.
        shutil.rmtree(self.folder / CHECKPOINT, ignore_errors=True)
        return load(self.folder)

    def _held(self) -> None:
        if not self._lock.held:
            raise WorkError(f"Run {self.id} has been closed and cannot be written any more.")
