"""The trials of tuning in a results folder.

`RESULTS/tuning` is a separate results folder, whose runs are the trials; its folder `studies` holds
a JSON file for every method tuned for a scenario, with every trial, and the optimiser's journal.
Boards read only the JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from pflbench.errors import DamagedError, InputError
from pflbench.results.files import read_json, write_json, writing
from pflbench.results.store import MARKER, Store
from pflbench.results.stored import is_run_id
from pflbench.results.validated import ACCURACY, has_score, validated
from pflbench.schema.parameters import Scalar
from pflbench.schema.scenario import digest

FOLDER, STUDIES = "tuning", "studies"
_FORMAT = {"format": "pflbench tuning, version 1"}

SEARCH = "defaults, halton(8), tpe; 1"
"""Name and version of the search in `pflbench.experiments.tuning.search`."""

DIGITS = 3
"""Significant digits of tried values: more would suggest a precision that no search has."""

_EQUAL = 1e-12
"""Values that differ by less are equal."""

State = Literal["complete", "failed", "unfinished"]


@dataclass(frozen=True)
class Dimension:
    """One parameter that is tuned: its range, ends included, and where the search begins."""

    name: str
    low: float
    high: float
    log: bool
    whole: bool
    start: float

    def __str__(self) -> str:
        return f"{self.name} {self.low:g} to {self.high:g}{' (log)' if self.log else ''}"

    def as_tried(self, value: float) -> Scalar:
        """Return a trial's value for a drawn `value`: rounded, in the range.

        The default is tried unrounded.
        """
        if self.whole:
            return int(value)
        if value == self.start:
            return float(value)
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Trial:
    """One setting that was tried.

    Attributes
    ----------
    number
        From 0, which is the setting to begin with.
    parameters
        Of the dimensions alone.
    state
        "failed" if one of its runs failed.
    value
        The study's score on validation (accuracy in [0, 1]), mean over clients at the round
        selected on validation, then over the seeds; None unless complete.
    runs
        Ids of its runs in the tuning folder, one a seed.
    reason
        Why it failed, else "".
    """

    number: int
    parameters: Mapping[str, Scalar]
    state: State
    value: float | None
    runs: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Study:
    """One method tuned for one scenario.

    Attributes
    ----------
    scenario
        The scenario of the trials, in the form of `Scenario.to_json`.
    algorithm, version
        The method.
    fixed
        Its parameters that were given and are not tuned.
    space
        The tuned parameters.
    seeds
        Each trial is run with each of these.
    search
        How settings are chosen, by name and version: trials of different searches never mix.
    trials
        All of them, by number.
    score, higher_is_better
        The metric that trials are compared by, and its direction.
    """

    scenario: Mapping[str, Any]
    algorithm: str
    version: str
    fixed: Mapping[str, Scalar]
    space: tuple[Dimension, ...]
    seeds: tuple[int, ...]
    search: str = SEARCH
    trials: tuple[Trial, ...] = field(default=())
    score: str = ACCURACY
    higher_is_better: bool = True

    @property
    def id(self) -> str:
        """First 12 hex digits of SHA-256 over everything but the trials."""
        return digest({key: value for key, value in _plain(self).items() if key != "trials"})

    @property
    def key(self) -> str:
        """The purpose of the study: see `tuning_key`."""
        return tuning_key(self.scenario)

    @property
    def finished(self) -> tuple[Trial, ...]:
        """The trials that ended, well or not."""
        return tuple(trial for trial in self.trials if trial.state != "unfinished")

    @property
    def best(self) -> Trial | None:
        """The trial of the best value, of several the first; None if none is complete."""
        return self.best_of(len(self.trials))

    def best_of(self, trials: int) -> Trial | None:
        """Return the best of the first `trials` trials: the result of a shorter search."""
        whole = [trial for trial in self.trials[:trials] if trial.value is not None]
        sign = 1 if self.higher_is_better else -1
        return max(whole, key=lambda t: (sign * (t.value or 0.0), -t.number), default=None)


def tuning_key(scenario: Mapping[str, Any]) -> str:
    """Return the common part of scenarios for which one tuning is valid, as JSON values.

    It is everything except the number of rounds, when they are evaluated and how new clients join:
    trials may be shorter than the final runs, and new clients do not affect validation. Which
    clients are held out does.
    """
    kept = {key: value for key, value in scenario.items() if key not in ("rounds", "eval_every")}
    if isinstance(kept.get("new_clients"), Mapping):
        kept["new_clients"] = kept["new_clients"].get("share")
    return digest(kept)


def studies_of(results: Path) -> list[Study]:
    """Return the studies of a results folder, ordered by file name; none if it has none.

    Raises
    ------
    InputError
        One of them is damaged, or says other values than the runs that it names, which may be
        gone.
    """
    folder = results / FOLDER / STUDIES
    if not folder.is_dir():
        return []
    found = {path: read_study(path) for path in sorted(folder.glob("[!.]*.json"))}
    if (results / FOLDER / MARKER).exists():
        store = Store(results / FOLDER)
        for path, study in found.items():
            for trial in study.trials:
                _check_trial(path, trial, store, study.score)
    return list(found.values())


def _check_trial(path: Path, trial: Trial, store: Store, score: str) -> None:
    """Refuse a trial whose runs all exist and contradict it."""
    if trial.state != "complete":
        return
    if not trial.runs or not all(is_run_id(run_id) for run_id in trial.runs):
        raise _damaged(path, f"trial {trial.number} names no runs")
    runs = [store.get(run_id) for run_id in trial.runs]
    whole = [run for run in runs if run is not None and run.status == "complete"]
    if len(whole) < len(runs):
        return
    if not all(has_score(run, score) for run in whole):
        return
    values = [validated(run, score) for run in whole]
    value = math.fsum(math.nan if v is None else v for v in values) / len(whole)
    if trial.value is None or not abs(trial.value - value) < _EQUAL:
        raise _damaged(
            path, f"it says {trial.value} of trial {trial.number}, whose runs say {value}"
        )


def _damaged(path: Path, why: str) -> DamagedError:
    return DamagedError(
        path,
        f"{path} is damaged: {why}. Remove it: `pflbench tune`, given again, writes it again from "
        "its runs",
    )


def read_study(path: Path) -> Study:
    """Read a study.

    Raises
    ------
    InputError
        The file is damaged, or is not a study of its name.
    """
    try:
        content = read_json(path)
    except DamagedError as error:
        raise _damaged(path, error.said.partition(" is damaged: ")[2] or error.said) from error
    if {key: content.pop(key, None) for key in _FORMAT} != _FORMAT:
        raise InputError(f"{path} is not a tuning study of the format that this pflbench reads.")
    try:
        study = msgspec.convert(content, Study)
        identity = study.id
    except (ValueError, msgspec.ValidationError) as error:
        raise _damaged(path, f"{error}") from error
    if identity != path.stem:
        raise _damaged(path, f"it describes study {identity}")
    return study


def write_study(results: Path, study: Study) -> Path:
    """Write a study and return its file.

    Raises
    ------
    WorkError
        It could not be written; the old file is unchanged.
    """
    folder = results / FOLDER / STUDIES
    path = folder / f"{study.id}.json"
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {**_FORMAT, **_plain(study)})
    return path


def _plain(study: Study) -> dict[str, Any]:
    """Return a study as JSON values, without the score that all studies once had."""
    content = asdict(study)
    if study.score == ACCURACY:
        del content["score"], content["higher_is_better"]
    return content


def of_scenario(studies: Sequence[Study], scenario: Mapping[str, Any]) -> list[Study]:
    """Return the studies that serve a scenario, given as JSON values."""
    key = tuning_key(scenario)
    return [study for study in studies if study.key == key]
