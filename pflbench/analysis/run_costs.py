"""The tables of one run with its costs and accuracies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pflbench.errors import InputError
from pflbench.results import ClientTable, StoredRun, client_table, selected_round
from pflbench.results.measures import PERSONAL, STAGES
from pflbench.schema.scenario import Cell

SET_UP = -1
"""The round of messages that crossed before the first one."""

FROZEN = "frozen"
"""The kind of the download that brings a client the parameters that no client trains."""

_METRICS = ("round", "client", "split", "stage", "samples", "correct")


@dataclass(frozen=True, eq=False)
class Record:
    """A complete run.

    Attributes
    ----------
    id, cell
        The run's.
    rounds, messages
        Its tables.
    participation
        Its table of participation; None in runs older than this table.
    onboarding
        Its table of new clients; None if no client was held out. They are in no other table here.
    train_samples
        Training samples by client number, of the participants.
    val, test
        Accuracies after the evaluated rounds.
    seconds
        Wall time of the whole run.
    """

    id: str
    cell: Cell
    rounds: pd.DataFrame = field(repr=False)
    messages: pd.DataFrame = field(repr=False)
    participation: pd.DataFrame | None = field(repr=False)
    onboarding: pd.DataFrame | None = field(repr=False)
    train_samples: pd.Series[int] = field(repr=False)
    val: ClientTable = field(repr=False)
    test: ClientTable = field(repr=False)
    seconds: float

    @property
    def selected(self) -> int:
        """The round selected on validation."""
        return selected_round(self.val)

    def accuracy(self, round: int) -> float:
        """Return the mean over clients of the test accuracy after an evaluated round."""
        return float(self.test.at(round).mean())


def client_tables(run: StoredRun, stage: str = PERSONAL) -> tuple[ClientTable, ClientTable]:
    """Read the validation and the test results of a run's clients, of one stage.

    Raises
    ------
    InputError
        The table is missing or damaged.
    """
    columns = run.arrow("metrics" if stage == PERSONAL else STAGES, _METRICS)
    metrics = {name: columns[name].to_numpy() for name in _METRICS}
    try:
        return client_table(metrics, "val", stage), client_table(metrics, "test", stage)
    except InputError as error:
        raise InputError(f"The metrics of run {run.id} cannot be used: {error}") from error


def read(run: StoredRun) -> Record:
    """Read a complete run's tables.

    Raises
    ------
    InputError
        It is not complete, or a table is missing, damaged or has gaps.
    """
    run.check()
    if run.status != "complete":
        raise InputError(f"Run {run.id} is {run.status}: only a complete run can be accounted for.")
    val, test = client_tables(run)
    partition = run.table("partition", ("client", "split", "samples"))
    train = partition[partition["split"] == "train"]
    there = run.has_table("participation")
    rounds = run.table("rounds").sort_values("round", ignore_index=True)
    if not np.array_equal(rounds["round"], np.arange(1, len(rounds) + 1)):
        raise InputError(f"The rounds of run {run.id} have gaps.")
    return Record(
        id=run.id,
        cell=run.typed_cell,
        rounds=rounds,
        messages=run.table("messages"),
        participation=run.table("participation") if there else None,
        onboarding=run.table("onboarding") if run.has_table("onboarding") else None,
        train_samples=train.groupby("client")["samples"].sum().reindex(val.clients, fill_value=0),
        val=val,
        test=test,
        seconds=float(run.summary.get("seconds", np.nan)),
    )
