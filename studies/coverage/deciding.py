"""Ways to decide which of six rows differ: the boards' way, and its alternatives.

Each takes accuracies [B, 6, S, N] of B boards, and returns whether each pair is told apart
[B, 15], all pairs of a board together at 5 %.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from simulated import FIRST, ROWS, SECOND, Values

from pflbench.analysis.inference import board_p, holm, plain_p, t_interval

Told = NDArray[np.bool_]
Way = Callable[[Values], Told]

LEVEL = 0.05
_RESAMPLES = 300


def differences(accuracies: Values) -> Values:
    """Return every pair's differences by seed [B, 15, S]."""
    by_seed = accuracies.mean(axis=-1)
    found: Values = by_seed[:, FIRST] - by_seed[:, SECOND]
    return found


def chosen(accuracies: Values) -> Told:
    """Take moderated t tests over seeds, as boards do, for any number of seeds."""
    return board_p(differences(accuracies), ROWS) < LEVEL


def plain(accuracies: Values) -> Told:
    """Take Student's paired t tests over seeds, corrected by Holm."""
    return holm(plain_p(differences(accuracies))) < LEVEL


def pooled(accuracies: Values) -> Told:
    """Take Tukey's test on the residuals of method × seed, as if all luck were equal.

    With as many runs of each method this is the mixed model with seeds, and methods within seeds,
    as random effects.
    """
    by_seed = accuracies.mean(axis=-1)
    seeds = by_seed.shape[-1]
    rest = by_seed - by_seed.mean(axis=2, keepdims=True) - by_seed.mean(axis=1, keepdims=True)
    rest = rest + by_seed.mean(axis=(1, 2), keepdims=True)
    free = (ROWS - 1) * (seeds - 1)
    error = np.sqrt((rest**2).sum(axis=(1, 2)) / free / seeds)
    return np.abs(_t(differences(accuracies))[0]) > _tukey(free) * error[:, None]


@cache
def _tukey(free: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - LEVEL, ROWS, free))


def flipped(accuracies: Values) -> Told:
    """Permute by seed: signs of whole seeds are flipped, the largest t of a board counts."""
    found = differences(accuracies)
    seeds = found.shape[-1]
    if seeds <= 10:
        signs = np.array([(1, *one) for one in itertools.product((1, -1), repeat=seeds - 1)])
    else:
        signs = np.sign(np.random.default_rng(0).normal(size=(_RESAMPLES, seeds)))
        signs[0] = 1
    mean, deviation = _t(found)
    own = np.abs(mean) / deviation
    means = found @ signs.T / seeds  # [B, 15, flips]
    squares = (found**2).sum(axis=-1, keepdims=True)
    errors = np.sqrt(np.maximum(squares - seeds * means**2, 1e-30) / (seeds - 1) / seeds)
    largest = (np.abs(means) / errors).max(axis=1, keepdims=True)
    return (largest >= own[..., None] * (1 - 1e-9)).mean(axis=-1) < LEVEL


def resampled(accuracies: Values) -> Told:
    """Resample seeds, and studentise: the largest t of a board counts."""
    found = differences(accuracies)
    seeds = found.shape[-1]
    rng = np.random.default_rng(0)
    mean, deviation = _t(found)
    own, above = np.abs(mean) / deviation, np.ones(mean.shape)
    for _ in range(_RESAMPLES):
        drawn = rng.integers(seeds, size=seeds)
        if len(set(drawn)) == 1:  # one seed has no variance
            drawn[0] = (drawn[0] + 1) % seeds
        there, error = _t(found[..., drawn])
        above += (np.abs(there - mean) / error).max(axis=1, keepdims=True) >= own
    return above / (_RESAMPLES + 1) < LEVEL


def by_client(accuracies: Values) -> Told:
    """Decide as earlier versions did: signed ranks of all clients, an interval that leaves 0 out.

    Wilcoxon's test over seeds × clients, corrected by Holm, and the percentile interval of a
    bootstrap of seeds and of the clients within each.
    """
    from scipy.stats import wilcoxon

    flat = (accuracies[:, FIRST] - accuracies[:, SECOND]).reshape(len(accuracies), len(FIRST), -1)
    p = holm(np.asarray(wilcoxon(flat, zero_method="zsplit", axis=-1).pvalue))
    low, high = hierarchical(accuracies)
    return (p < LEVEL) & ((low > 0) | (high < 0))


def hierarchical(accuracies: Values) -> tuple[Values, Values]:
    """Return the ends of the percentile interval of seeds, and of clients within them [B, 15]."""
    boards, rows, seeds, clients = accuracies.shape
    rng = np.random.default_rng(0)
    means = np.empty((_RESAMPLES, boards, rows))
    for i in range(_RESAMPLES):
        drawn = rng.integers(seeds, size=seeds)
        weights = rng.multinomial(clients, np.full(clients, 1 / clients), size=seeds)
        means[i] = np.einsum("brsn,sn->br", accuracies[:, :, drawn], weights) / (seeds * clients)
    return _percentile(means[..., FIRST] - means[..., SECOND])


def bootstrapped(accuracies: Values) -> tuple[Values, Values]:
    """Return the ends of the percentile interval of resampled seeds [B, 15]."""
    return _percentile(_means_of_seeds(differences(accuracies)))


def bias_corrected(accuracies: Values) -> tuple[Values, Values]:
    """Return the ends of the bias-corrected and accelerated interval of seeds (BCa) [B, 15]."""
    from scipy.special import ndtr, ndtri

    found = differences(accuracies)
    seeds = found.shape[-1]
    means = np.sort(_means_of_seeds(found), axis=0)
    below = (means < found.mean(axis=-1)).mean(axis=0)
    bias = ndtri(np.clip(below, 1 / (2 * _RESAMPLES), 1 - 1 / (2 * _RESAMPLES)))
    left_out = (found.sum(axis=-1, keepdims=True) - found) / (seeds - 1)
    pull = left_out.mean(axis=-1, keepdims=True) - left_out
    acceleration = (pull**3).sum(axis=-1) / (6 * (pull**2).sum(axis=-1) ** 1.5)
    ends = []
    for tail in (LEVEL / 2, 1 - LEVEL / 2):
        z = bias + ndtri(tail)
        share = ndtr(bias + z / (1 - acceleration * z))
        place = np.clip((share * _RESAMPLES).astype(int), 0, _RESAMPLES - 1)
        ends.append(np.take_along_axis(means, place[None], axis=0)[0])
    return ends[0], ends[1]


def normal(accuracies: Values) -> tuple[Values, Values]:
    """Return the mean ± 1.96 standard errors over seeds: a common reading of ± over seeds."""
    mean, error = _t(differences(accuracies))
    return mean - 1.96 * error, mean + 1.96 * error


def students(accuracies: Values) -> tuple[Values, Values]:
    """Return the ends of Student's t interval over seeds, as boards print them."""
    return t_interval(differences(accuracies))


def _means_of_seeds(found: Values) -> Values:
    rng = np.random.default_rng(0)
    seeds = found.shape[-1]
    drawn = rng.integers(seeds, size=(_RESAMPLES, seeds))
    return np.moveaxis(found[..., drawn].mean(axis=-1), -1, 0)


def _percentile(means: Values) -> tuple[Values, Values]:
    low, high = np.quantile(means, (LEVEL / 2, 1 - LEVEL / 2), axis=0)
    return low, high


def _t(found: Values) -> tuple[Values, Values]:
    """Return means and standard errors over seeds."""
    mean, error = found.mean(axis=-1), found.std(axis=-1, ddof=1) / np.sqrt(found.shape[-1])
    return mean, np.maximum(error, 1e-15)


WAYS: dict[str, tuple[str, Way]] = {
    "chosen": ("**moderated t, Holm** (the boards')", chosen),
    "plain": ("t over seeds, Holm", plain),
    "pooled": ("mixed model: method × seed residual, Tukey", pooled),
    "flipped": ("signs of seeds permuted, max-t", flipped),
    "resampled": ("studentised bootstrap of seeds, max-t", resampled),
    "by_client": ("before: signed ranks of clients, Holm, and bootstrap", by_client),
}
INTERVALS: dict[str, tuple[str, Callable[[Values], tuple[Values, Values]]]] = {
    "students": ("**t over seeds** (the boards')", students),
    "normal": ("mean ± 1.96 standard errors", normal),
    "bootstrapped": ("percentile bootstrap of seeds", bootstrapped),
    "bias_corrected": ("BCa bootstrap of seeds", bias_corrected),
    "hierarchical": ("before: percentile bootstrap of seeds and clients", hierarchical),
}
