"""Storage for the round loop, alone or as one of several processes.

Of several, the first one reads and writes; the others get from it the state to resume from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa
from torch import Tensor

from pflbench.engine.process_group import Group
from pflbench.results import Checkpoint, RunWriter, StoredRun
from pflbench.results.model_file import KeptModels
from pflbench.results.prediction_file import KeptPredictions
from pflbench.runs.personal_models import PersonalModels
from pflbench.runs.planning import PlannedRun
from pflbench.runs.predictions import Predictions
from pflbench.runs.result import Result
from pflbench.schema.kept_rounds import step_of


class InMemory:
    """Storage of a run that is not stored."""

    def __init__(self, planned: PlannedRun) -> None:
        self._planned, self._cell = planned, planned.cell
        self._kept: dict[int, tuple[KeptModels, dict[str, Tensor]]] = {}
        self._predicted: tuple[KeptPredictions, Mapping[str, Tensor]] | None = None

    def checkpoint(self, *_: object) -> None:
        """Keep nothing: such a run cannot resume."""

    def restore(self, rounds: int) -> Checkpoint | None:
        """Return None: such a run cannot resume."""
        return None

    def keep(self, models: KeptModels, tensors: Mapping[str, Tensor]) -> None:
        """Keep personal models for the result."""
        if not step_of(models.which):
            self._kept.clear()  # the round that was selected before
        own = {name: tensor.cpu() for name, tensor in tensors.items()}
        self._kept[models.round] = models, own

    @property
    def models(self) -> list[KeptModels]:
        """What models have been kept."""
        return [models for models, _ in self._kept.values()]

    def forget_models(self, besides: Sequence[KeptModels] = ()) -> None:
        """Forget the other models that were kept."""
        rounds = {models.round for models in besides}
        self._kept = {r: kept for r, kept in self._kept.items() if r in rounds}

    def keep_predictions(self, kept: KeptPredictions, tensors: Mapping[str, Tensor]) -> None:
        """Keep predictions for the result."""
        self._predicted = kept, tensors

    @property
    def predictions(self) -> KeptPredictions | None:
        """What predictions have been kept."""
        return None if self._predicted is None else self._predicted[0]

    def forget_predictions(self) -> None:
        """Forget the predictions that were kept."""
        self._predicted = None

    def complete(
        self, tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any]
    ) -> StoredRun | Result:
        """Hand the tables over."""
        kept = dict(tables)
        models = None
        if self._kept:
            models = partial(PersonalModels.in_memory, self._kept, self._planned.module)
        predicted = None
        if self._predicted is not None:
            predicted = partial(Predictions.of, *self._predicted)
        of = self._cell
        return Result(of.id, of.to_json(), dict(summary), None, kept.__getitem__, models, predicted)

    def fail(
        self, tables: Mapping[str, pd.DataFrame], failure: Mapping[str, Any]
    ) -> StoredRun | Result:
        """Hand the tables over."""
        return self.complete(tables, {})


Writer = RunWriter | InMemory
"""What keeps a run's state and result."""


class Shared:
    """One process's storage of a run that several processes work on.

    Parameters
    ----------
    writer
        In the first process, the run's; in the others, one that keeps nothing.
    group
        The processes.
    """

    def __init__(self, writer: Writer, group: Group) -> None:
        self._writer, self._group = writer, group
        self.checkpoint, self.fail = writer.checkpoint, writer.fail
        self.keep, self.forget_models = writer.keep, writer.forget_models
        self.keep_predictions = writer.keep_predictions
        self.forget_predictions = writer.forget_predictions

    @property
    def models(self) -> list[KeptModels]:
        """What models have been kept, by this attempt or an earlier one."""
        return self._writer.models

    @property
    def predictions(self) -> KeptPredictions | None:
        """What predictions have been kept, by this attempt or an earlier one."""
        return self._writer.predictions

    def restore(self, rounds: int) -> Checkpoint | None:
        """Return the first process's checkpoint in all."""
        own, group = self._writer.restore(rounds), self._group
        head = group.share_json(_head(own))
        if head is None:
            return None
        tables = {
            name: _frame(group.share(None if own is None else _bytes(own.tables[name])))
            for name in head["tables"]
        }
        return _SharedCheckpoint(
            round=head["round"],
            tensors=group.share_tensors(None if own is None else own.tensors),
            tables=tables,
            counters=head["counters"],
            own=own,
            group=group,
        )

    def complete(
        self, tables: Mapping[str, pd.DataFrame], summary: Mapping[str, Any]
    ) -> StoredRun | Result:
        """Write the result, and continue when everything is written."""
        ended = self._writer.complete(tables, summary)
        self._group.meet("complete")
        return ended


@dataclass(frozen=True)
class _SharedCheckpoint(Checkpoint):
    """A checkpoint that the first process reads, and all of them get."""

    own: Checkpoint | None = field(repr=False, kw_only=True)
    group: Group = field(repr=False, kw_only=True)

    def parts(self) -> Iterator[Mapping[str, Tensor]]:
        """Yield the further parts, each read and passed on when it is needed."""
        return self.group.share_parts(None if self.own is None else self.own.parts())


def _head(own: Checkpoint | None) -> dict[str, Any] | None:
    if own is None:
        return None
    return {"round": own.round, "tables": list(own.tables), "counters": dict(own.counters)}


def _bytes(frame: pd.DataFrame) -> bytes:
    """Return a table in Arrow's format for streams."""
    table, sink = pa.Table.from_pandas(frame, preserve_index=False), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _frame(content: bytes) -> pd.DataFrame:
    frame: pd.DataFrame = pa.ipc.open_stream(content).read_all().to_pandas()
    return frame
