"""How many trials a study gets: as many as every other method of its scenario."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pflbench.experiments.grid import TuningPlan
from pflbench.results.tuning_edges import Edge, open_edges
from pflbench.results.tunings import Study
from pflbench.schema.scenario import digest


@dataclass(frozen=True)
class Budget:
    """How many trials a study is to have.

    Attributes
    ----------
    trials
        The number.
    because
        Why it is larger than the plan's: the best values, of any method of the scenario, that are
        at the end of the values of all trials except the last one, each by the id of its study.
    """

    trials: int
    because: tuple[tuple[str, Edge], ...] = ()


def budgets(studies: Iterable[Study], plan: TuningPlan) -> dict[str, Budget]:
    """Return how many trials each study is to have, by study id.

    They are the plan's. If a method's best value is then at the end of the tried values, but inside
    its range, all methods of the scenario get one more, and so on: until the best values of all of
    them are inside, or at a declared bound, or the plan's maximum is reached. The trials so far
    decide this, so an interrupted search ends like an uninterrupted one.
    """
    groups: dict[str, list[Study]] = defaultdict(list)
    for study in studies:
        groups[digest(study.scenario)].append(study)
    return {
        study.id: made
        for group in groups.values()
        for made in [_budget(group, plan)]
        for study in group
    }


def _budget(studies: Sequence[Study], plan: TuningPlan) -> Budget:
    budget = Budget(plan.trials)
    fewest = min(len(study.finished) for study in studies)
    while (
        plan.extend
        and budget.trials <= fewest
        and (plan.max_trials is None or budget.trials < plan.max_trials)
    ):
        found = tuple((s.id, edge) for s in studies for edge in open_edges(s, budget.trials))
        if not found:
            break
        budget = Budget(budget.trials + 1, found)
    return budget
