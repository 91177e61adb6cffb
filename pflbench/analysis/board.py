"""The content of a leaderboard: plain records, independent of their presentation."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pflbench.analysis.costs import Spent
from pflbench.analysis.further_metrics import Further, Score
from pflbench.analysis.further_metrics import record as further_record
from pflbench.analysis.new_client_scores import Onboarded
from pflbench.analysis.row_names import written
from pflbench.analysis.training import Training
from pflbench.analysis.transfer import Comparison
from pflbench.results.measures import PERSONAL, Floats
from pflbench.results.tuning_edges import Edge
from pflbench.schema.parameters import Scalar

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Measures:
    """A row's numbers: means over seeds. Accuracies are in [0, 1], over clients at first.

    Unless stated otherwise, accuracies are those of personal models on the test split, at the round
    selected on validation.

    Attributes
    ----------
    test_accuracy
        The headline: mean over clients, then over seeds.
    test_std
        Standard deviation of a seed's mean over seeds; None with one seed.
    low, high
        Ends of the headline's 95 % t interval over seeds, within [0, 1]; None with one seed.
    sample_mean
        Mean over test samples instead of clients.
    client_std, worst_client, worst_tenth, best_client
        Spread over clients: each taken within a seed, then averaged.
    val_accuracy
        Validation accuracy at the selected round.
    selected_round
        Mean over seeds.
    last_accuracy
        After the last round.
    best_accuracy
        At the round that is best on test: for information.
    optimism
        `best_accuracy` - `test_accuracy`.
    gain, gain_low, gain_high
        Mean over clients, then over seeds, of the accuracy minus the baseline's, with its 95 % t
        interval over seeds; None where the baseline's row is missing or incomplete (as in those
        below), the interval with one seed as well.
    hurt, hurt_beyond_error
        Share of clients below the baseline; by more than one standard error of the difference.
    loss_of_hurt
        Mean loss of the clients that are hurt; None if none is.
    worst_gain
        Lowest gain of a client with a seed.
    local_steps, adapt_steps, bytes_up, bytes_down, seconds
        Of a whole run; `adapt_steps` are those of personal models only for evaluation. None if a
        run did not record it.
    relatedness_rank_correlation, relatedness_precision, relatedness_same_group
        How close the server's learnt relations of clients are to the truth
        (`pflbench.analysis.relatedness_score.scores`); None if it learns none, or the truth is
        unknown.
    nll, brier, ece
        Calibration: mean over clients, then over seeds.
    nll_by_samples, brier_by_samples
        Mean over test samples instead of clients.
    """

    test_accuracy: float
    test_std: float | None
    low: float | None
    high: float | None
    sample_mean: float
    client_std: float
    worst_client: float
    worst_tenth: float
    best_client: float
    val_accuracy: float
    selected_round: float
    last_accuracy: float
    best_accuracy: float
    optimism: float
    gain: float | None
    gain_low: float | None
    gain_high: float | None
    hurt: float | None
    hurt_beyond_error: float | None
    loss_of_hurt: float | None
    worst_gain: float | None
    local_steps: float | None
    adapt_steps: float | None
    bytes_up: float | None
    bytes_down: float | None
    seconds: float | None
    relatedness_rank_correlation: float | None
    relatedness_precision: float | None
    relatedness_same_group: float | None
    nll: float | None = None
    brier: float | None = None
    ece: float | None = None
    nll_by_samples: float | None = None
    brier_by_samples: float | None = None

    @property
    def gradients(self) -> float | None:
        """All gradients of a run: of training, and of personal models only for evaluation."""
        if self.local_steps is None:
            return None
        return self.local_steps + (self.adapt_steps or 0)


@dataclass(frozen=True)
class Row:
    """A method with its parameters.

    Attributes
    ----------
    algorithm, version, parameters
        The method that was run.
    label
        Name, and the parameters that are off their defaults or differ between rows.
    seeds
        Seeds with a complete run, ascending.
    run_ids
        All of its runs, of any status, by seed.
    commands
        Command that repeats a run, by seed, if known.
    rank, worst_rank
        The best and the worst rank that the verdicts allow: one more than the number of rows that
        are better, and the rank if all rows were better that it does not beat. None if the board
        has no verdict, or if the row has no numbers: then `measures` is None, too, and `reason`
        says why, since a mean is never taken over a part of the runs.
    chosen
        Whether it has the highest validation accuracy of several rows of one algorithm.
    baseline
        Whether it is the row that the others' gains are over.
    groups
        Comparison with the baseline for each group of clients alone, all seeds together; empty
        without groups or baseline.
    onboarded
        Results of new clients, if the scenario holds clients out.
    spent
        Further costs of its runs, in addition to `measures`.
    tuned
        Trials of the search whose best setting this is; 0 if it is not tuned.
    ends
        Its tuned values that are the smallest or the largest tried.
    budget
        Its gradients divided by the baseline's; None if unknown.
    training
        Whether its training is done, and whether its seeds agree.
    accuracies
        [S, N]: test accuracy by seed (in the order of the board's seeds) and client at the
        selected round; None if the row is not ranked. In no record, and no part of equality.
    deviations
        Standard deviation over seeds of the means in `measures`, by name; empty with one seed.
    by_seed
        The numbers that the means in `measures` are over, by name: one a seed, in the order of the
        board's seeds. In no record, and no part of equality.
    metrics
        Metrics of plugins, by name, if all runs and clients have them.
    scored
        [S, N]: what is compared in place of `accuracies` on a board with a score; higher is better.
    stage
        Which of the method's models the numbers are of: "personal" or "global".
    """

    algorithm: str
    version: str
    parameters: Mapping[str, Scalar]
    label: str
    seeds: tuple[int, ...]
    run_ids: Mapping[int, str]
    commands: Mapping[int, str]
    rank: int | None
    reason: str
    measures: Measures | None
    chosen: bool = False
    baseline: bool = False
    groups: Mapping[int, Comparison] = field(default_factory=dict)
    onboarded: Onboarded = field(default_factory=Onboarded)
    spent: Spent = field(default_factory=Spent)
    tuned: int = 0
    ends: tuple[Edge, ...] = ()
    budget: float | None = None
    training: Training = field(default_factory=Training)
    accuracies: Floats | None = field(default=None, compare=False, repr=False)
    worst_rank: int | None = None
    deviations: Mapping[str, float] = field(default_factory=dict)
    by_seed: Mapping[str, Sequence[float]] = field(default_factory=dict, compare=False, repr=False)
    metrics: Mapping[str, Further] = field(default_factory=dict)
    scored: Floats | None = field(default=None, compare=False, repr=False)
    stage: str = PERSONAL

    @property
    def leads(self) -> bool:
        """Whether the verdicts call it better than every other row."""
        return self.rank == self.worst_rank == 1


@dataclass(frozen=True)
class Board:
    """The leaderboard of one scenario.

    Attributes
    ----------
    scenario_id
        12 hex digits.
    title
        Data set and partition.
    words
        The whole scenario in words.
    dataset
        As written in the command.
    scenario
        The scenario as stored.
    seeds
        The seeds that a ranked row has, all of them.
    rows
        Rows with numbers, those of the highest accuracy first, then the others.
    notes
        Notes for the reader: missing reference rows, too few seeds.
    score
        The metric that orders and ranks the rows; None for test accuracy.
    stage
        Which models the numbers are of: "personal" or "global".
    """

    scenario_id: str
    title: str
    words: str
    dataset: str
    scenario: Mapping[str, Any]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    score: Score | None = None
    stage: str = PERSONAL

    def compared(self) -> Board:
        """Return the board for verdicts: with the compared numbers as accuracies."""
        if self.score is None:
            return self
        rows = (dataclasses.replace(row, accuracies=row.scored) for row in self.rows)
        return dataclasses.replace(self, rows=tuple(rows))

    def records(self) -> list[dict[str, Any]]:
        """Return a flat record per row: all numbers of the board, unrounded."""
        from pflbench.analysis.against import Against  # which reads boards

        against = Against(self)
        names = [field.name for field in dataclasses.fields(Measures)]
        return [
            {
                "scenario": self.scenario_id,
                "dataset": self.dataset,
                "partition": written(self.scenario["partition"]),
                "population": written(self.scenario.get("population")),
                "rank": row.rank,
                "worst_rank": row.worst_rank,
                "method": row.label,
                "algorithm": row.algorithm,
                "version": row.version,
                "parameters": json.dumps(dict(row.parameters), sort_keys=True),
                "seeds": " ".join(map(str, row.seeds)),
                "number_of_seeds": len(row.seeds),
                "interval": _interval(row),
                **{name: getattr(row.measures, name, None) for name in names},
                "gradients": getattr(row.measures, "gradients", None),
                "times_baseline_gradients": row.budget,
                **against.record(row),
                "deviations": _deviations(row),
                "by_group": _by_group(row),
                **row.onboarded.record(),
                **row.spent.record(),
                **row.training.record(),
                **further_record(row.metrics),
                **({} if self.score is None else {"score": self.score.name}),
                **({} if self.stage == PERSONAL else {"stage": row.stage}),
                "chosen_on_validation": row.chosen,
                "tuned_trials": row.tuned,
                "tuned_ends": "; ".join(map(str, row.ends)),
                "reason_not_ranked": row.reason,
                "runs": " ".join(row.run_ids.values()),
                "command": next(iter(row.commands.values()), ""),
            }
            for row in self.rows
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy frame: a row for each method, with the columns of `--format csv`."""
        import pandas as pd

        return pd.DataFrame(self.records())

    def _repr_html_(self) -> str:
        """Return the board as HTML for a notebook."""
        from pflbench.analysis.board_html import html_table  # which reads boards

        return html_table(self)


def _interval(row: Row) -> str:
    """Name the kind of a row's intervals."""
    known = row.measures is not None and row.measures.low is not None
    return f"95 % t over {len(row.seeds)} seeds, pointwise" if known else ""


def _deviations(row: Row) -> str:
    """Return the standard deviations over seeds as JSON by column, "" if empty."""
    found = {**row.deviations, **row.onboarded.deviations_by_column(), **row.spent.deviations}
    return json.dumps(found, sort_keys=True) if found else ""


def _by_group(row: Row) -> str:
    """Return a row's groups as JSON, "" without groups."""
    found = {str(number): dataclasses.asdict(group) for number, group in row.groups.items()}
    return json.dumps(found, sort_keys=True) if found else ""
