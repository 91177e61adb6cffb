"""What local training is made of: phases in a round, and adaptation before an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from pflbench.method.column_blocks import Columns
from pflbench.method.local_data import LocalBudget
from pflbench.method.optimiser import Optimiser


@dataclass(frozen=True)
class Phase:
    """One of the phases that a client trains in, one after the other.

    The optimiser's state is fresh in every phase. `task.phase` is the name while it lasts.

    Attributes
    ----------
    name
        How messages and `task.phase` call it.
    columns
        The columns that are trained, the others being frozen; None for all.
    model
        Name of the model in the carry.
    budget
        How long it lasts; None for the scenario's local budget.
    batches
        Name of the random stream of its batches. Phases of one name see the same batches if their
        budgets are alike; "" is that of methods without phases.
    lr
        Its learning rate, in place of that of the scenario's optimiser; the scenario's schedule
        applies to it, too. None for the scenario's.
    multiple
        Its number of steps is a multiple of this: if a client's batches are not, the first ones
        are repeated. For methods whose update takes several batches in turn.
    rule
        Name of the client's method that does a step of it, with the arguments of `Client.step`;
        "" for the usual rule.
    share
        Share of a client's samples that its batches hold, drawn in every round.
    passes
        How often its batches are gone through at most: before each pass `Client.more` says whether
        once more. 0 for once, without asking.
    """

    name: str = ""
    columns: Columns | None = None
    model: str = "w"
    budget: LocalBudget | None = None
    batches: str = ""
    lr: float | None = None
    multiple: int = 1
    rule: str = ""
    share: float = 1.0
    passes: int = 0


@dataclass(frozen=True)
class Adaptation:
    """Training of a personal model before each evaluation, thrown away after it.

    Attributes
    ----------
    budget
        How long it lasts.
    optimiser
        None for the scenario's, with the rate of the round.
    columns
        The columns that are trained, the others being frozen; None for all.
    """

    budget: LocalBudget
    optimiser: Optimiser | None = None
    columns: Columns | None = None
