"""The search: trial after trial of every study, the trials of all studies side by side.

The first trial has the defaults. The next ones are the points of a Halton sequence whose first
dimension is the learning rate: every method tries the same rates, spread evenly, so that no method
wins by luck. Then Optuna's TPE learns from the trials. Trials beyond the requested number continue
in the direction of a best value at the end of the tried values; a method without such a value gets
as many trials as the others, by the same rules as before.

Within a study trials run one after the other, so the tried settings do not depend on the number of
jobs, nor on interruptions: the study and the trial's number seed the sampler of a trial.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from pflbench.errors import WorkError
from pflbench.experiments.executors import Executor, Outcome, Watch, Work, run_cells
from pflbench.experiments.grid import TuningPlan
from pflbench.experiments.tuning import points
from pflbench.experiments.tuning.budget import Budget, budgets
from pflbench.experiments.tuning.journal import damaged, mend, trusting
from pflbench.experiments.tuning.targets import Target
from pflbench.results import RunBusyError, Store
from pflbench.results.files import remove_temporaries, writing
from pflbench.results.locking import RunLock
from pflbench.results.stored import NO_COMPUTATION, StoredRun
from pflbench.results.tunings import FOLDER, STUDIES, Dimension, State, Study, Trial, write_study
from pflbench.results.validated import has_score, validated
from pflbench.runs.identity import identify
from pflbench.runs.request import RunRequest
from pflbench.schema.parameters import Scalar
from pflbench.streams import stream

Ended = Callable[[Target, Trial, int], None]
"""Called with a trial that ended, and the number of trials of its study."""

Further = Callable[[Sequence[Target], Budget], None]
"""Called with the targets of a scenario that get a trial beyond the plan, and why."""

_ENDED = (TrialState.COMPLETE, TrialState.FAIL)


def tune(
    wanted: Iterable[Target],
    plan: TuningPlan,
    results: Path,
    executor: Executor,
    watch: Watch | None = None,
    ended: Ended = lambda target, trial, trials: None,
    further: Further = lambda targets, budget: None,
) -> list[Study]:
    """Give every target the trials of a plan, and resume where an earlier call stopped.

    Parameters
    ----------
    wanted
        The targets to tune.
    plan
        The number of trials, and whether they are continued beyond a best value at the end of the
        tried values; then all targets of this scenario get more, the same number each.
    results
        The results folder; trials are kept in its folder `tuning`.
    executor
        Where trials are run; it has been entered.
    watch
        Notified of the trials' runs.
    ended
        Called with each trial that ended.
    further
        Called when targets get a trial beyond the plan.

    Raises
    ------
    WorkError
        Another process tunes one of them, or the machine stopped a trial: the next call resumes
        the trial.
    DamagedError
        Optuna's journal of a study is damaged.
    """
    Store(results, create=True).make()
    store = Store(results / FOLDER, create=True)
    store.make()
    with ExitStack() as stack:
        searches = []
        for target in wanted:
            stack.callback(_locked(store, target).release)
            searches.append(_Search(target, results, store, plan))
        while ahead := _ahead(searches, plan):
            _announce(ahead, plan, further)
            _advance(ahead, executor, watch, ended)
        return [search.write() for search in searches]


def _ahead(searches: Iterable[_Search], plan: TuningPlan) -> dict[_Search, Budget]:
    """Return the searches that have fewer trials than they are to have."""
    wanted = budgets([search.study for search in searches], plan)
    each = {search: wanted[search.target.study.id] for search in searches}
    return {s: budget for s, budget in each.items() if s.lost or s.ended < budget.trials}


def _announce(ahead: Mapping[_Search, Budget], plan: TuningPlan, further: Further) -> None:
    by_reason: dict[Budget, list[Target]] = defaultdict(list)
    for search, budget in ahead.items():
        if search.ended >= plan.trials:
            by_reason[budget].append(search.target)
    for budget, targets in by_reason.items():
        further(targets, budget)


def _advance(
    ahead: Mapping[_Search, Budget], executor: Executor, watch: Watch | None, ended: Ended
) -> None:
    """Run the next trial of each search."""
    works = [work for search, budget in ahead.items() for work in search.ask(budget.trials)]
    outcomes = run_cells(works, executor, watch)
    stopped = []
    for search, budget in ahead.items():
        try:
            ended(search.target, search.tell(outcomes), budget.trials)
        except WorkError as error:  # the others' trials are kept
            stopped.append(error)
    if stopped:
        raise stopped[0]


def _locked(store: Store, target: Target) -> RunLock:
    try:
        return RunLock(store.root / ".locks", target.study.id)
    except RunBusyError as error:
        raise WorkError(f"Another process tunes {target.title} in {store.root}.") from error


class _Search:
    """The trials of one study: Optuna's journal decides, the study's file reports it."""

    def __init__(self, target: Target, results: Path, store: Store, plan: TuningPlan) -> None:
        self.target, self._results, self._store, self._plan = target, results, store, plan
        self._known: dict[int, dict[str, RunRequest]] = {}
        folder = results / FOLDER / STUDIES
        path = folder / f"{target.study.id}.journal"
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            remove_temporaries(folder, f"{target.study.id}.json")  # of a search that was killed
            mend(path)
            with trusting(path):
                self._optuna = optuna.create_study(
                    storage=JournalStorage(JournalFileBackend(str(path))),
                    study_name=target.study.id,
                    direction="maximize" if target.study.higher_is_better else "minimize",
                    load_if_exists=True,
                )
                ended = self._ended
                for trial in ended:
                    self._setting(trial)
        self._asked: FrozenTrial | None = None
        self._path = path
        self._records = [self._record(trial) for trial in ended]
        for trial, record in zip(ended, self._records, strict=True):
            self._compare(trial, record)

    def _compare(self, trial: FrozenTrial, record: Trial) -> None:
        """Refuse a journal whose value of a trial differs from its runs."""
        both = trial.state == TrialState.COMPLETE and record.state == "complete"
        if both and trial.value != record.value:
            said, had = trial.value, record.value
            raise damaged(self._path, f"it says {said} of a trial whose runs say {had}")

    @property
    def lost(self) -> list[int]:
        """Numbers of finished trials with a damaged or missing run."""
        return [record.number for record in self._records if record.state == "unfinished"]

    @property
    def _ended(self) -> list[FrozenTrial]:
        trials = self._optuna.get_trials(deepcopy=False, states=_ENDED)
        return [trial for trial in trials if self._whole(trial)]

    def _whole(self, trial: FrozenTrial) -> bool:
        """Whether all of a trial's setting was drawn; one that was not is no trial."""
        return len(trial.params) == len(self.target.study.space)

    @property
    def ended(self) -> int:
        """Number of finished trials with existing runs."""
        return len(self._records) - len(self.lost)

    @property
    def study(self) -> Study:
        """The study with the trials that have ended."""
        return dataclasses.replace(self.target.study, trials=tuple(self._records))

    def ask(self, trials: int) -> list[Work]:
        """Return the runs of a trial that lost one, of one that was interrupted, or of the next.

        Parameters
        ----------
        trials
            The number of trials of the study, for the title of each run.
        """
        lost = self.lost
        self._asked = self._ended[lost[0]] if lost else self._interrupted() or self._next()
        number = lost[0] if lost else self.ended
        which, title = f"trial {number + 1} of {max(trials, number + 1)}", self.target.title
        return [
            Work(run_id, self._again(run_id, request), self._store.root, f"{which}: {title}")
            for run_id, request in self._runs(self._asked).items()
        ]

    def _again(self, run_id: str, request: RunRequest) -> RunRequest:
        """Return the request of a run, which computes a metric that another study left out."""
        run = self._store.get(run_id)
        if run is None or run.status != "complete" or not self._missing({run_id: run}):
            return request
        return dataclasses.replace(request, rerun="always")

    def _missing(self, runs: Mapping[str, StoredRun | None]) -> list[str]:
        """Return the runs that are not complete, or were computed without the score."""
        score = self.target.study.score
        return [
            run_id
            for run_id, run in runs.items()
            if run is None or run.status != "complete" or not has_score(run, score)
        ]

    def tell(self, outcomes: Mapping[str, Outcome]) -> Trial:
        """Record the outcomes of the requested trial's runs.

        Raises
        ------
        WorkError
            A run was stopped by something that is not the setting's fault.
        """
        assert self._asked is not None  # a trial is recorded after it was requested
        record = self._record(self._asked)
        if record.state == "unfinished":
            stopped = next(outcomes[run] for run in record.runs if not outcomes[run].done)
            raise WorkError(f"A trial of {self.target.title} was stopped: {stopped.message}")
        if self._asked.state in _ENDED:  # one that had lost a run
            self._compare(self._asked, record)
            self._records[record.number] = record
        else:
            with writing(self._results / FOLDER / STUDIES):
                if record.value is None:
                    self._optuna.tell(self._asked.number, state=TrialState.FAIL)
                else:
                    self._optuna.tell(self._asked.number, record.value)
            self._records.append(record)
        self.write()
        return record

    def write(self) -> Study:
        """Write the study's file."""
        write_study(self._results, self.study)
        return self.study

    def _interrupted(self) -> FrozenTrial | None:
        """Return the unfinished trial of an earlier call."""
        for trial in self._optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._whole(trial):
                return trial
            with writing(self._results / FOLDER / STUDIES):
                self._optuna.tell(trial.number, state=TrialState.FAIL)  # which no sampler looks at
        return None

    def _next(self) -> FrozenTrial:
        number = self.ended
        seed = int(stream(0, "tuning", int(self.target.study.id, 16), number).integers(2**31))
        self._optuna.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=points.SPREAD + 1
        )
        with writing(self._results / FOLDER / STUDIES):
            if not self._waits() and (setting := self._laid_down()) is not None:
                self._optuna.enqueue_trial(setting)
            asked = self._optuna.ask({d.name: _range(d) for d in self.target.study.space})
        return self._optuna.trials[asked.number]

    def _laid_down(self) -> dict[str, float] | None:
        """Return the setting of the next trial, None if it is learnt from the trials."""
        number, space = self.ended, self.target.study.space
        if number >= self._plan.trials and (setting := points.outward(self.study)) is not None:
            return setting
        if number > points.SPREAD:
            return None
        return points.start(space) if number == 0 else points.spread(space, number)

    def _waits(self) -> bool:
        """Whether the next trial's setting was laid down by a call that was stopped just then."""
        return bool(self._optuna.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def _runs(self, trial: FrozenTrial) -> dict[str, RunRequest]:
        """Return a trial's runs by id, in the order of the seeds."""
        if trial.number not in self._known:
            setting, seeds = self._setting(trial), self.target.study.seeds
            requests = [self.target.with_setting(setting, seed) for seed in seeds]
            self._known[trial.number] = {identify(one).cell.id: one for one in requests}
        return self._known[trial.number]

    def _setting(self, trial: FrozenTrial) -> dict[str, Scalar]:
        return {d.name: d.as_tried(trial.params[d.name]) for d in self.target.study.space}

    def _record(self, trial: FrozenTrial) -> Trial:
        """Read a trial's outcome from its runs."""
        runs = {run_id: self._store.get(run_id) for run_id in self._runs(trial)}
        failures = [
            run.failure
            for run in runs.values()
            if run and run.status == "failed" and run.failure.get("error") not in NO_COMPUTATION
        ]
        state: State = "unfinished"
        value, reason = None, ""
        if failures:
            state, reason = "failed", str(failures[0].get("message", ""))
        elif not self._missing(runs):
            score = self.target.study.score
            values = [validated(run, score) for run in runs.values() if run]
            if None in values:
                state, reason = "failed", f"no client has a number of {score}"
            else:
                state, value = "complete", math.fsum(v for v in values if v is not None)
                value /= len(runs)
        number = sum(other.number < trial.number for other in self._ended)
        return Trial(number, self._setting(trial), state, value, tuple(runs), reason)


def _range(dimension: Dimension) -> BaseDistribution:
    low, high = points.drawn(dimension.low, dimension), points.drawn(dimension.high, dimension)
    if dimension.whole:
        return IntDistribution(int(low), int(high), log=dimension.log)
    return FloatDistribution(low, high, log=dimension.log)
