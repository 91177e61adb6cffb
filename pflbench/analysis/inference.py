"""Inference over seeds: t intervals, and p values of all pairs of a board.

The unit is the seed. The clients of one federation share its server, its initial model and its
schedule, so their differences are averaged first, and a seed counts once. `studies/coverage` has
the simulations that led to this choice.

All arrays may have leading dimensions, a board each.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from pflbench.analysis.protocol import CONFIDENCE, GUARANTEE, SIGNIFICANCE
from pflbench.results.measures import Floats

_LEAST: Final = 0.02
"""No pair counts as steadier than this share of the average pair: twins would decide the prior."""

_NONE: Final = 1e-12
"""Accuracies are fractions of small numbers: smaller differences are rounding."""


def t_interval(by_seed: ArrayLike) -> tuple[Floats, Floats]:
    """Return the ends of Student's t interval of the mean over the last axis, NaN for one seed."""
    from scipy.special import stdtrit

    values = np.asarray(by_seed, dtype=np.float64)
    seeds = values.shape[-1]
    mean = values.mean(axis=-1)
    if seeds < 2:
        return np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    half = stdtrit(seeds - 1, (1 + CONFIDENCE) / 2) * values.std(axis=-1, ddof=1) / math.sqrt(seeds)
    return mean - half, mean + half


def plain_p(differences: Floats) -> Floats:
    """Return the two-sided p values of paired t tests: differences [..., S] of at least 2 seeds."""
    mean, variance = moments(differences)
    return _student(mean, variance, differences.shape[-1], differences.shape[-1] - 1.0)


def board_p(differences: Floats, rows: int) -> Floats:
    """Return the p values that a board's verdicts rest on.

    The largest of three, for each pair:

    - that of a t test with moderated variance: shrunk towards the other pairs' variance, the
      more, the more similar these are (Smyth, 2004). A pair that varies more than the others
      is shrunk less (as in Phipson et al., 2016). Corrected by Holm for all pairs.
    - that of the plain t test, corrected by Holm, times 0.05 / 0.10: however unequal the luck of
      the methods, no more than one board of equals in ten has a verdict.
    - that of the plain t test: no verdict where the pair's own interval holds 0.

    Parameters
    ----------
    differences
        [..., P, S]: of every pair of rows, by seed; at least 2 seeds.
    rows
        Number of rows of the board: P = rows (rows - 1) / 2.

    Returns
    -------
    Floats
        [..., P].
    """
    return board_p_of_moments(*moments(differences), differences.shape[-1], rows)


def board_p_of_moments(mean: Floats, variance: Floats, seeds: int, rows: int) -> Floats:
    """Return `board_p`, given each pair's mean and variance over seeds, as `moments` has them."""
    plain = _student(mean, variance, seeds, seeds - 1.0)
    shared, weight = _prior(variance, seeds - 1, rows)
    moderated = (weight * shared + (seeds - 1) * variance) / (weight + seeds - 1)
    powerful = holm(_student(mean, moderated, seeds, weight + seeds - 1))
    guaranteed = holm(plain) * (SIGNIFICANCE / GUARANTEE)
    largest: Floats = np.maximum(np.maximum(plain, guaranteed), powerful)
    return largest


def holm(p: Floats) -> Floats:
    """Correct the p values of a board for their number: the last axis."""
    order = np.argsort(p, axis=-1, kind="stable")
    factors = np.arange(p.shape[-1], 0, -1)
    worst = np.maximum.accumulate(np.take_along_axis(p, order, axis=-1) * factors, axis=-1)
    corrected = np.empty_like(p)
    np.put_along_axis(corrected, order, np.minimum(worst, 1.0), axis=-1)
    return corrected


def moments(differences: Floats) -> tuple[Floats, Floats]:
    """Return means and variances over seeds; rounding errors are set to 0."""
    mean, variance = differences.mean(axis=-1), differences.var(axis=-1, ddof=1)
    return (np.where(np.abs(mean) < _NONE, 0.0, mean), np.where(variance < _NONE**2, 0.0, variance))


def _student(mean: Floats, variance: Floats, seeds: int, freedom: Floats | float) -> Floats:
    """Return two-sided p values; of a mean of 0, 1."""
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(mean == 0, 0.0, np.abs(mean) / np.sqrt(variance / seeds))
    p: Floats = 2 * stdtr(freedom, -t)
    return p


def _prior(variance: Floats, freedom: int, rows: int) -> tuple[Floats, Floats]:
    """Return the variance that pairs share, and the degrees of freedom that it counts for.

    By the moments of the logarithms of the pairs' variances (Smyth, Linear models and empirical
    Bayes methods, 2004, section 6.2). Its weight is limited by the information in the rows beyond
    two, so it is 0 for two rows, and always less than that of a pair's own variance.

    Returns
    -------
    tuple[Floats, Floats]
        [..., 1] and [..., P].
    """
    from scipy.special import chdtrc, digamma, polygamma

    average = variance.mean(axis=-1, keepdims=True)
    if rows < 3 or not average.any():
        return average, np.zeros_like(variance)
    safe = np.where(average > 0, np.maximum(variance, _LEAST * average), 1.0)
    half = freedom / 2
    logs = np.log(safe) - digamma(half) + math.log(half)
    excess = logs.var(axis=-1, ddof=1, keepdims=True) - polygamma(1, half)
    alike = excess <= 0
    prior = _inverse_trigamma(np.where(alike, 1.0, excess))
    located = np.exp(logs.mean(axis=-1, keepdims=True) + digamma(prior) - np.log(prior))
    shared = np.where(average > 0, np.where(alike, safe.mean(axis=-1, keepdims=True), located), 0.0)
    most = freedom * (rows - 2) / (rows - 1)
    weight = np.where(alike, most, np.minimum(2 * prior, most))
    with np.errstate(divide="ignore", invalid="ignore"):
        unlike = chdtrc(freedom, np.where(shared > 0, freedom * variance / shared, 0.0))
    return shared, weight * np.minimum(1.0, 2 * unlike)


def _inverse_trigamma(values: Floats) -> Floats:
    """Solve polygamma(1, x) = value by Newton's method (Smyth, 2004, appendix)."""
    from scipy.special import polygamma

    x = 0.5 + 1 / values
    for _ in range(12):  # quadratic, and monotone from this start
        trigamma = polygamma(1, x)
        x = x + trigamma * (1 - trigamma / values) / polygamma(2, x)
    return np.asarray(x, dtype=np.float64)
