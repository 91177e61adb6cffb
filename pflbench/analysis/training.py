"""Whether the training of a row is done, and whether its seeds agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from pflbench.analysis.scores import Scores
from pflbench.results import StoredRun
from pflbench.results.measures import Floats
from pflbench.schema.scenario import Scenario

FEWEST_EVALUATIONS: Final = 5
"""Choosing among fewer evaluated rounds is called no selection."""

FEWEST_SEEDS: Final = 3
"""Of two seeds that differ, either could be the odd one."""

FAR_SCORE, FAR_POINTS = 3.5, 0.02
"""A seed is far from the others at this many robust standard deviations and this accuracy."""

_OF_NORMAL = 1.4826
"""Median absolute deviations in a standard deviation, of normal numbers."""


@dataclass(frozen=True)
class Training:
    """How the training of a row went.

    Attributes
    ----------
    evaluations
        Rounds that the selected one was chosen among; of seeds that differ, the fewest.
    improving
        Whether most of the seeds selected their last evaluated round: more rounds may be better.
    seeds
        Test accuracy in [0, 1] by seed, mean over clients.
    far
        The seeds whose accuracy is far from the others'.
    """

    evaluations: int = 0
    improving: bool = False
    seeds: dict[int, float] = field(default_factory=dict)
    far: tuple[int, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return flat columns."""
        return {
            "evaluations": self.evaluations or None,
            "still_improving": self.improving,
            "unstable_seeds": " ".join(map(str, self.far)),
            "accuracy_by_seed": " ".join(f"{s}:{value:.6g}" for s, value in self.seeds.items()),
        }

    @property
    def unstable(self) -> str:
        """The accuracies of an unstable row's seeds, in words; "" if they agree."""
        if not self.far:
            return ""
        others = [100 * value for seed, value in self.seeds.items() if seed not in self.far]
        away = " and ".join(
            f"seed {seed} gives {100 * self.seeds[seed]:.2f} %" for seed in self.far
        )
        among = sorted(f"{value:.2f}" for value in (min(others), max(others)))
        return f"{away}, the others {' to '.join(dict.fromkeys(among))} %"


def training(scores: Sequence[Scores], seeds: Sequence[int]) -> Training:
    """Say how the training of a row went, given its scores seed by seed."""
    last = [one.selected == one.last_round and one.evaluations > 1 for one in scores]
    test = np.array([one.test for one in scores])
    samples = np.array([one.samples for one in scores])
    return Training(
        evaluations=min(one.evaluations for one in scores),
        improving=sum(last) > len(last) / 2,
        seeds={seed: float(one.test.mean()) for seed, one in zip(seeds, scores, strict=True)},
        far=tuple(seeds[i] for i in _far(test, samples)),
    )


def _far(test: Floats, samples: Floats) -> list[int]:
    """Return the indices of the seeds that are far from the others, of accuracies [S, N].

    Far by the modified z score (Iglewicz and Hoaglin, 1993): the distance from the median, in
    median absolute deviations, which an odd seed does not widen as it widens a standard deviation.
    No deviation is taken to be smaller than the error that the test samples alone leave, and no
    seed is far by less than two points, which a hard split costs any method.
    """
    means = test.mean(axis=1)
    if len(means) < FEWEST_SEEDS:
        return []
    away = np.abs(means - np.median(means))
    error = np.sqrt((test * (1 - test) / samples).sum(axis=1)).mean() / test.shape[1]
    scale = max(_OF_NORMAL * float(np.median(away)), float(error))
    far = (away > FAR_SCORE * scale) & (away > FAR_POINTS)
    return [int(i) for i in np.flatnonzero(far)]


def early_notes(runs: Iterable[StoredRun], scenario: Scenario) -> list[str]:
    """Note how many complete runs ended early, if the scenario has a patience."""
    if scenario.patience is None:
        return []
    last = [int(run.summary["rounds"]) for run in runs if run.status == "complete"]
    early = [rounds for rounds in last if rounds < scenario.rounds]
    if not early:
        return [f"No run ended early: all have {scenario.rounds:,} rounds."] if last else []
    when = " to ".join(f"{r:,}" for r in sorted({min(early), max(early)}))
    return [
        f"{len(early):,} of {len(last):,} runs ended early, after {when} of {scenario.rounds:,} "
        f"rounds: validation did not improve for {scenario.patience:,}."
    ]


def evaluation_notes(trainings: Iterable[Training]) -> list[str]:
    """Note which rows have too few evaluations for a selection."""
    fewest = min((t.evaluations for t in trainings if t.evaluations), default=FEWEST_EVALUATIONS)
    if fewest >= FEWEST_EVALUATIONS:
        return []
    if fewest == 1:
        return ["One evaluation, after the last round: no round was selected."]
    return [
        f"Rounds were chosen among {fewest} evaluations, which is no selection: most methods get "
        "the last round, and an optimism near 0 says nothing."
    ]
