"""From the scores of a row's runs, one a seed, to its numbers: means over seeds and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from pflbench.analysis.board import Measures
from pflbench.analysis.inference import t_interval
from pflbench.analysis.scores import BY_SAMPLES, CALIBRATION, KEPT, Scores
from pflbench.analysis.transfer import Comparison, compare
from pflbench.results import worst_tenth

BySeed = dict[str, list[float]]

_OF_A_RUN: dict[str, Callable[[Scores], float]] = {
    "test_accuracy": lambda run: run.test.mean(),
    "sample_mean": lambda run: np.average(run.test, weights=run.samples),
    "client_std": lambda run: run.test.std(),
    "worst_client": lambda run: run.test.min(),
    "worst_tenth": lambda run: worst_tenth(run.test),
    "best_client": lambda run: run.test.max(),
    "val_accuracy": lambda run: run.val,
    "selected_round": lambda run: run.selected,
    "last_accuracy": lambda run: run.last,
    "best_accuracy": lambda run: run.best,
    "optimism": lambda run: run.best - float(run.test.mean()),
}
_GAINS = ("gain", "hurt", "hurt_beyond_error")
"""Means over seeds of a row's numbers, and its comparison with the baseline."""


def measure(
    runs: Sequence[Scores], baseline: Sequence[Scores] | None
) -> tuple[Measures, dict[str, float], BySeed]:
    """Return a row's numbers, the standard deviations of the means, and the numbers by seed.

    Parameters
    ----------
    runs
        The row's, one a seed.
    baseline
        The baseline's runs of the same seeds; None if it is missing or incomplete.
    """
    by_seed = _by_seed(runs)
    whole = None
    if baseline is not None:
        whole, gained = _against(runs, baseline)
        by_seed |= gained
    means = {name: float(np.mean(values)) for name, values in by_seed.items()}
    deviations = {
        name: float(np.std(values, ddof=1)) for name, values in by_seed.items() if len(runs) > 1
    }
    low, high = _within(by_seed["test_accuracy"], 0.0)
    gain_low, gain_high = (None, None) if whole is None else _within(by_seed["gain"], -1.0)
    gains: dict[str, float | None] = dict.fromkeys((*_GAINS, "loss_of_hurt", "worst_gain"))
    if whole is not None:
        gains = {name: getattr(whole, name) for name in gains}
    measures = Measures(
        test_accuracy=means["test_accuracy"],
        test_std=deviations.get("test_accuracy"),
        low=low,
        high=high,
        sample_mean=means["sample_mean"],
        client_std=means["client_std"],
        worst_client=means["worst_client"],
        worst_tenth=means["worst_tenth"],
        best_client=means["best_client"],
        val_accuracy=means["val_accuracy"],
        selected_round=means["selected_round"],
        last_accuracy=means["last_accuracy"],
        best_accuracy=means["best_accuracy"],
        optimism=means["best_accuracy"] - means["test_accuracy"],
        **gains,
        gain_low=gain_low,
        gain_high=gain_high,
        **{name: means.get(name) for name in (*KEPT, *CALIBRATION, *_BY_SAMPLES)},
    )
    return measures, deviations, by_seed


_BY_SAMPLES = {f"{name}_by_samples": name for name in BY_SAMPLES}


def _by_seed(runs: Sequence[Scores]) -> BySeed:
    """Return the numbers to average over seeds, without those that a run did not record."""
    found = {name: [float(show(run)) for run in runs] for name, show in _OF_A_RUN.items()}
    found |= {
        name: [float(run.kept[name]) for run in runs]
        for name in KEPT
        if all(name in run.kept for run in runs)
    }
    found |= {name: [run.calibration[name] for run in runs] for name in CALIBRATION}
    return found | {
        name: [run.by_samples[short] for run in runs] for name, short in _BY_SAMPLES.items()
    }


def _against(runs: Sequence[Scores], baseline: Sequence[Scores]) -> tuple[Comparison, BySeed]:
    """Compare a row with the baseline: all seeds together, and each alone."""
    parts = [(run.test, other.test, run.samples) for run, other in zip(runs, baseline, strict=True)]
    whole = compare(*(np.array(values) for values in zip(*parts, strict=True)))
    each = [compare(*part) for part in parts]
    return whole, {name: [getattr(one, name) for one in each] for name in _GAINS}


def _within(by_seed: ArrayLike, least: float) -> tuple[float | None, float | None]:
    """Return the ends of the t interval, cut off at `least` and 1; None with one seed."""
    low, high = (float(end) for end in t_interval(by_seed))
    return (None, None) if np.isnan(low) else (max(low, least), min(high, 1.0))
